package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"
)

// EncryptedExtension is what the key of an encrypted object ends in.
const EncryptedExtension = ".age"

var (
	// ErrNoIdentity is wrapped by the error of opening what is encrypted
	// without any identity at hand.
	ErrNoIdentity = errors.New("it is encrypted, and there is no identity to open it with")
	// ErrOtherIdentity is wrapped by the error of opening what was encrypted
	// to others than the identities at hand.
	ErrOtherIdentity = errors.New("none of the identities opens it")
)

// Recipients are the public keys to which stored bytes are encrypted with age
// (https://age-encryption.org/v1). The zero value encrypts nothing.
type Recipients struct {
	keys  []age.Recipient
	names []string
}

// ParseRecipients reads public keys: "age1...", "ssh-ed25519 ..." or
// "ssh-rsa ...". Whoever holds the private half of any one of them can open
// what is encrypted to them. No keys give the zero value.
func ParseRecipients(texts []string) (Recipients, error) {
	var r Recipients
	for _, text := range texts {
		key, name, err := parseRecipient(strings.TrimSpace(text))
		if err != nil {
			return Recipients{}, err
		}
		if slices.Contains(r.names, name) {
			return Recipients{}, fmt.Errorf("recipient %s is named twice", name)
		}
		r.keys, r.names = append(r.keys, key), append(r.names, name)
	}
	if r.IsZero() {
		return r, nil
	}
	// Not all kinds go together: a post-quantum key beside a classic one would
	// be worth no more than the classic one.
	if _, err := r.Seal(nil); err != nil {
		return Recipients{}, err
	}
	return r, nil
}

func parseRecipient(text string) (age.Recipient, string, error) {
	switch {
	case strings.HasPrefix(text, "ssh-"):
		key, err := agessh.ParseRecipient(text)
		if err != nil {
			return nil, "", fmt.Errorf("recipient %q: %w", text, err)
		}
		// What follows the key is a comment, often somebody's address.
		fields := strings.Fields(text)
		return key, strings.Join(fields[:2], " "), nil
	case strings.HasPrefix(text, "age1"):
		keys, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil || len(keys) != 1 {
			return nil, "", fmt.Errorf("recipient %q is no public key of age", text)
		}
		return keys[0], text, nil
	case strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY-"), strings.Contains(text, "PRIVATE KEY"):
		// Not repeated: it is the one thing that must stay secret.
		return nil, "", errors.New("a recipient is a private key: give its public half, which age-keygen -y prints")
	}
	return nil, "", fmt.Errorf("recipient %q: want a key that begins with age1, ssh-ed25519 or ssh-rsa", text)
}

// IsZero says whether there are no recipients.
func (r Recipients) IsZero() bool { return len(r.keys) == 0 }

// Names are the public keys as text, without comments.
func (r Recipients) Names() []string { return slices.Clone(r.names) }

// Seal encrypts a small text.
func (r Recipients) Seal(plain []byte) ([]byte, error) {
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, r.keys...)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return sealed.Bytes(), nil
}

// Identities are private keys, which open what was encrypted to their public
// halves. The zero value opens nothing.
type Identities struct {
	keys []age.Identity
}

// Passphrase asks for the passphrase of a protected private key.
type Passphrase func() ([]byte, error)

// ParseIdentities reads a file of private keys as age-keygen writes it, or one
// SSH private key. A protected SSH key asks for its passphrase when it is first
// needed; where ask is nil it is an error. No error repeats any of the text.
func ParseIdentities(text []byte, ask Passphrase) (Identities, error) {
	if bytes.Contains(text, []byte("PRIVATE KEY-----")) {
		key, err := parseSSHIdentity(text, ask)
		if err != nil {
			return Identities{}, err
		}
		return Identities{keys: []age.Identity{key}}, nil
	}
	if bytes.HasPrefix(text, []byte("-----BEGIN AGE ENCRYPTED FILE-----")) || bytes.HasPrefix(text, []byte("age-encryption.org/")) {
		return Identities{}, errors.New("the identity is itself encrypted: open it with age -d first")
	}
	keys, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil {
		// The parser's own error may quote the line that it does not like.
		return Identities{}, errors.New("there is no identity in it: want lines that begin with AGE-SECRET-KEY-, or an SSH private key")
	}
	return Identities{keys: keys}, nil
}

func parseSSHIdentity(text []byte, ask Passphrase) (age.Identity, error) {
	key, err := agessh.ParseIdentity(text)
	var protected *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return key, nil
	case !errors.As(err, &protected):
		return nil, fmt.Errorf("SSH private key: %w", err)
	case ask == nil:
		return nil, errors.New("the SSH private key is protected by a passphrase, and there is no terminal to ask for it")
	case protected.PublicKey == nil:
		return nil, errors.New("the SSH private key is protected in an old format: rewrite it with ssh-keygen -p")
	}
	inner, err := agessh.NewEncryptedSSHIdentity(protected.PublicKey, text, ask)
	if err != nil {
		return nil, fmt.Errorf("SSH private key: %w", err)
	}
	return protectedKey{inner}, nil
}

// protectedKey tells a key that cannot be used, for want of its passphrase, from
// an encrypted stream that is damaged.
type protectedKey struct{ age.Identity }

// Unwrap asks for the passphrase where the key is one of the recipients.
func (k protectedKey) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	fileKey, err := k.Identity.Unwrap(stanzas)
	if err != nil && !errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, &keyError{err}
	}
	return fileKey, err
}

// keyError is a failure of an identity itself.
type keyError struct{ err error }

// Error is what is wrong with the key.
func (e *keyError) Error() string { return "use the identity: " + e.err.Error() }

// Unwrap is the key's own error.
func (e *keyError) Unwrap() error { return e.err }

// IsZero says whether there are no identities.
func (i Identities) IsZero() bool { return len(i.keys) == 0 }

// With is the identities of both.
func (i Identities) With(more Identities) Identities {
	return Identities{keys: slices.Concat(i.keys, more.keys)}
}

// Open decrypts what Seal encrypted. The error wraps ErrNoIdentity,
// ErrOtherIdentity or ErrDamaged.
func (i Identities) Open(sealed []byte) ([]byte, error) {
	source := &meteredReader{src: bytes.NewReader(sealed), meter: NewMeter()}
	plain, err := i.decryptor(source)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		return nil, damaged(source, err)
	}
	return text, nil
}

// decryptor reads the head of an encrypted stream.
func (i Identities) decryptor(source *meteredReader) (io.Reader, error) {
	if i.IsZero() {
		return nil, ErrNoIdentity
	}
	plain, err := age.Decrypt(source, i.keys...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, ErrOtherIdentity
	}
	var unusable *keyError
	if errors.As(err, &unusable) {
		return nil, unusable
	}
	if err != nil {
		return nil, damaged(source, err)
	}
	return plain, nil
}
