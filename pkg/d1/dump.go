package d1

import (
	"errors"
	"net/url"

	"github.com/AutumnsGrove/patina/pkg/secret"
)

// Dump is a finished export, ready to be downloaded for one hour.
type Dump struct {
	// Bookmark is the Time Travel point that the dump equals.
	Bookmark string
	// Filename is what D1 calls the dump.
	Filename string

	// link is the signed URL. It gives the whole database to anyone who has
	// it.
	link secret.String
}

// newDump checks the link. It must be https, unless the API itself is spoken to
// in the clear, as an emulator on this host is.
func (c *Client) newDump(bookmark, filename, link string) (Dump, error) {
	if err := c.checkLink(link); err != nil {
		return Dump{}, err
	}
	return Dump{Bookmark: c.tame(bookmark), Filename: c.tame(filename), link: secret.New(link)}, nil
}

// checkLink refuses a signed URL that others could listen in on.
func (c *Client) checkLink(link string) error {
	u, err := url.Parse(link)
	switch {
	case err != nil || u.Host == "":
		return errors.New("the signed URL is no URL")
	case u.Scheme != "https" && (u.Scheme != "http" || c.base.Scheme != "http"):
		return errors.New("the signed URL is not https")
	}
	return nil
}
