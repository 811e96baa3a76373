package s3store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"

	"github.com/AutumnsGrove/patina/pkg/secret"
)

// R2Endpoint is the endpoint of an account's buckets in a jurisdiction ("eu",
// "fedramp", "us", or "" and "default" for buckets without one). Buckets of a
// jurisdiction are found at its own endpoint only
// (https://developers.cloudflare.com/r2/reference/data-location/).
func R2Endpoint(accountID, jurisdiction string) string {
	host := accountID
	if jurisdiction != "" && jurisdiction != "default" {
		host += "." + jurisdiction
	}
	return "https://" + host + ".r2.cloudflarestorage.com"
}

// DeriveSecret is the secret access key that belongs to a Cloudflare API
// token: the lowercase hexadecimal SHA-256 of its value. The access key id is
// the token's id (https://developers.cloudflare.com/r2/api/tokens/).
func DeriveSecret(token secret.String) secret.String {
	sum := sha256.Sum256([]byte(token.Reveal()))
	return secret.New(hex.EncodeToString(sum[:]))
}

// parseEndpoint splits an endpoint into host and whether to use TLS.
func parseEndpoint(endpoint string) (string, bool, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		// The error of url.Parse repeats the text, which may hold a password.
		return "", false, fmt.Errorf("endpoint is not a URL")
	}
	if u.User != nil {
		return "", false, fmt.Errorf("endpoint holds a user name or password")
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return "", false, fmt.Errorf("endpoint %s: want https or http", endpoint)
	}
	if u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", false, fmt.Errorf("endpoint %s: want a host and nothing after it (the bucket is named by itself)", endpoint)
	}
	return u.Host, u.Scheme == "https", nil
}
