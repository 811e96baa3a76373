package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// StoreKind is the kind of a backup store.
type StoreKind string

// The kinds of stores, as the schemes of store.url.
const (
	StoreR2   StoreKind = "r2"
	StoreS3   StoreKind = "s3"
	StoreFile StoreKind = "file"
)

// StoreURL is a checked store.url:
//
//	r2://BUCKET?jurisdiction=eu|fedramp|us
//	s3://BUCKET?endpoint=URL&region=NAME&insecure=true
//	file:///FOLDER
//
// The zero StoreURL is a store that is not configured.
type StoreURL struct {
	Kind   StoreKind
	Bucket string
	// Endpoint is the URL of an S3 server without a path; empty for R2,
	// whose endpoint follows from account and jurisdiction, and for folders.
	Endpoint string
	// Region is part of every signature: R2's is "auto".
	Region string
	// Jurisdiction is R2's: "eu", "fedramp", "us", or empty.
	Jurisdiction string
	// Path is the absolute folder of a file store.
	Path string
	text string
}

// String is the URL as it was given; it never holds a secret, because
// ParseStoreURL refuses those.
func (u StoreURL) String() string { return u.text }

// IsZero says whether no store is configured.
func (u StoreURL) IsZero() bool { return u.Kind == "" }

// ParseStoreURL reads a store URL. Unknown parameters are errors. An endpoint
// is https, unless its host is this machine or insecure=true says that the
// network between is trusted: requests carry the dumps in clear. No error
// repeats the URL, for people put keys into it.
func ParseStoreURL(text string) (StoreURL, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return StoreURL{}, errors.New("not a URL: want r2://BUCKET, s3://BUCKET?endpoint=URL or file:///FOLDER")
	}
	switch {
	case parsed.User != nil:
		return StoreURL{}, errors.New("a user name or key stands in the URL: keys belong to store.access_key_id and store.secret_access_key")
	case parsed.Fragment != "" || strings.HasSuffix(text, "#"):
		return StoreURL{}, errors.New("a \"#\" stands in the URL: write it as %23")
	}
	params, err := parameters(parsed.RawQuery)
	if err != nil {
		return StoreURL{}, err
	}
	u := StoreURL{Kind: StoreKind(parsed.Scheme), text: text}
	switch u.Kind {
	case StoreR2:
		err = u.setR2(parsed, params)
	case StoreS3:
		err = u.setS3(parsed, params)
	case StoreFile:
		err = u.setFile(parsed, params)
	default:
		err = errors.New("unknown scheme: want r2://, s3:// or file://")
	}
	if err != nil {
		return StoreURL{}, err
	}
	return u, nil
}

func (u *StoreURL) setR2(parsed *url.URL, params map[string]string) error {
	if err := u.setBucket(parsed); err != nil {
		return err
	}
	if strings.Contains(u.Bucket, ".") {
		return errors.New("the name of an R2 bucket holds no dot")
	}
	if err := only(params, "jurisdiction"); err != nil {
		return err
	}
	u.Region = "auto"
	u.Jurisdiction = params["jurisdiction"]
	if known := []string{"", "eu", "fedramp", "us"}; !slices.Contains(known, u.Jurisdiction) {
		return errors.New("unknown jurisdiction: want eu, fedramp or us")
	}
	return nil
}

func (u *StoreURL) setS3(parsed *url.URL, params map[string]string) error {
	if err := u.setBucket(parsed); err != nil {
		return err
	}
	if err := only(params, "endpoint", "region", "insecure"); err != nil {
		return err
	}
	insecure := params["insecure"]
	if insecure != "" && insecure != "true" && insecure != "false" {
		return errors.New("bad insecure: want true or false")
	}
	u.Region, u.Endpoint = params["region"], params["endpoint"]
	if u.Region != "" && !regionForm().MatchString(u.Region) {
		return errors.New("bad region: want letters, digits and hyphens")
	}
	switch {
	case u.Endpoint == "" && u.Region == "":
		return errors.New("neither endpoint nor region is given: want s3://BUCKET?region=NAME for AWS, s3://BUCKET?endpoint=URL for others")
	case u.Endpoint == "":
		u.Endpoint = "https://s3." + u.Region + ".amazonaws.com"
		return nil
	case u.Region == "":
		u.Region = "us-east-1" // what servers without regions sign with
	}
	if err := checkServer(u.Endpoint, insecure == "true"); err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	u.Endpoint = strings.TrimSuffix(u.Endpoint, "/")
	if strings.Contains(strings.TrimPrefix(strings.TrimPrefix(u.Endpoint, "https://"), "http://"), "/") {
		return errors.New("endpoint: a path stands after the host")
	}
	return nil
}

func (u *StoreURL) setFile(parsed *url.URL, params map[string]string) error {
	if err := only(params); err != nil {
		return err
	}
	if parsed.Host != "" || !filepath.IsAbs(parsed.Path) {
		return errors.New("want an absolute folder after three slashes: file:///FOLDER")
	}
	u.Path = filepath.Clean(parsed.Path)
	if u.Path == filepath.Dir(u.Path) {
		return errors.New("the root of the file system is no folder for backups")
	}
	if strings.ContainsRune(u.Path, 0) {
		return errors.New("the folder's name holds a NUL")
	}
	return nil
}

func (u *StoreURL) setBucket(parsed *url.URL) error {
	u.Bucket = parsed.Host
	switch {
	case u.Bucket == "":
		return fmt.Errorf("no bucket is named: want %s://BUCKET", u.Kind)
	case strings.Trim(parsed.Path, "/") != "":
		return errors.New("a path stands after the bucket: a folder within it belongs to store.prefix")
	case !bucketForm().MatchString(u.Bucket) || strings.Contains(u.Bucket, ".."):
		return errors.New("bad bucket name: want 3 to 63 lower-case letters, digits, dots and hyphens, a letter or digit at both ends")
	}
	return nil
}

// bucketForm is what S3 and R2 both take for a bucket's name
// (https://developers.cloudflare.com/r2/buckets/create-buckets/).
func bucketForm() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`) }

func regionForm() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`) }

// parameters reads a query in which every name stands once.
func parameters(query string) (map[string]string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("the parameters after \"?\" are not well formed")
	}
	params := make(map[string]string, len(values))
	for name, all := range values {
		if len(all) > 1 {
			return nil, fmt.Errorf("parameter %s is given twice", shown(name))
		}
		params[name] = all[0]
	}
	return params, nil
}

// only refuses parameters that are not known.
func only(params map[string]string, known ...string) error {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("unknown parameter %s%s", shown(name), didYouMean(name, known))
		}
	}
	return nil
}

// checkServer checks the URL of a server that secrets and dumps are sent to.
func checkServer(text string, trusted bool) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "":
		return errors.New("not a URL: want https://HOST")
	case u.User != nil:
		return errors.New("a user name or password stands in the URL")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("something stands after \"?\" or \"#\"")
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return errors.New("want https://")
	case !trusted && !isLoopback(u.Hostname()):
		return errors.New("http:// is for this machine only (127.0.0.1, ::1, localhost): want https://")
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
