package d1

import (
	"errors"
	"io"
	"net/url"
	"strings"
	"unicode"

	"github.com/AutumnsGrove/patina/pkg/secret"
)

// maxMessage is how much of a foreign text goes into an error. SQL errors can
// quote whole statements.
const maxMessage = 300

// oneLine makes a foreign text fit for a line of a terminal: no control
// or formatting characters, single spaces, bounded length.
func oneLine(text string) string {
	if len(text) > 8*maxMessage {
		text = text[:8*maxMessage]
	}
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) || unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, text)
	clean = strings.Join(strings.Fields(clean), " ")
	if runes := []rune(clean); len(runes) > maxMessage {
		return string(runes[:maxMessage]) + "..."
	}
	return clean
}

// tame makes a foreign text fit for an error, a log or a terminal: one line,
// and without the token, since a server may quote a request.
func (c *Client) tame(text string) string {
	return oneLine(hide(text, c.token.Reveal()))
}

// plain takes the URL, which may be signed, off an error of net/http, and an
// end of input that a reader might take for a clean one.
func plain(err error) error {
	for {
		var wrapped *url.Error
		if !errors.As(err, &wrapped) {
			break
		}
		err = wrapped.Err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errCut
	}
	return err
}

// errCut is the end of a connection before the end of what was promised.
var errCut = errors.New("the connection ended early")

// redacted is err, or its mere text where that held a secret.
func redacted(err error, secrets ...string) error {
	text := err.Error()
	if clean := hide(text, secrets...); clean != text {
		return errors.New(clean)
	}
	return err
}

func hide(text string, secrets ...string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, secret.Redacted)
		}
	}
	return text
}

// linkSecrets are the forms in which a signed URL may be quoted: as a whole,
// its query, and the values of that. Short values are no secrets.
func linkSecrets(link string) []string {
	secrets := []string{link}
	u, err := url.Parse(link)
	if err != nil {
		return secrets
	}
	secrets = append(secrets, u.String(), u.RawQuery)
	for _, values := range u.Query() {
		for _, v := range values {
			if len(v) >= 16 {
				secrets = append(secrets, v)
			}
		}
	}
	return secrets
}
