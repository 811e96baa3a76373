package seal_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"io"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"golang.org/x/crypto/ssh"

	"github.com/AutumnsGrove/patina/pkg/seal"
)

// keyPair is a recipient and what opens what is encrypted to it, both as text.
type keyPair struct{ public, private string }

func newX25519(t testing.TB) keyPair {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{key.Recipient().String(), "# created: today\n" + key.String() + "\n"}
}

func newHybrid(t testing.TB) keyPair {
	t.Helper()
	key, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{key.Recipient().String(), key.String()}
}

// newSSH makes an SSH key; with a passphrase it is protected.
func newSSH(t testing.TB, private any, passphrase string) keyPair {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(private, "operator@example.com")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "operator@example.com", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	return keyPair{public, string(pem.EncodeToMemory(block))}
}

func newEd25519(t testing.TB) any {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func recipients(t testing.TB, public ...string) seal.Recipients {
	t.Helper()
	r, err := seal.ParseRecipients(public)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func identities(t testing.TB, private string) seal.Identities {
	t.Helper()
	i, err := seal.ParseIdentities([]byte(private), nil)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestEachRecipientOpensAndNobodyElseDoes(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]keyPair{
		"X25519": newX25519(t), "another X25519": newX25519(t),
		"SSH ed25519": newSSH(t, newEd25519(t), ""), "SSH RSA": newSSH(t, rsaKey, ""),
	}
	public := make([]string, 0, len(all))
	for _, key := range all {
		public = append(public, key.public)
	}
	plain := text(3 * chunk)
	c := packing{Packing: seal.Packing{Compression: seal.Zstd, Recipients: recipients(t, public...)}}
	stored, expect := pack(t, c, plain, 4096)
	if bytes.Contains(stored, plain[:40]) {
		t.Error("the plain text is in what is stored")
	}
	for name, key := range all {
		c.identities = identities(t, key.private)
		if got, err := unpack(c, bytes.NewReader(stored), expect); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s opens %d bytes, %v", name, len(got), err)
		}
	}
	for name, want := range map[string]struct {
		identities seal.Identities
		err        error
	}{
		"nobody":   {seal.Identities{}, seal.ErrNoIdentity},
		"a third":  {identities(t, newX25519(t).private), seal.ErrOtherIdentity},
		"SSH keys": {identities(t, newSSH(t, newEd25519(t), "").private), seal.ErrOtherIdentity},
	} {
		c.identities = want.identities
		_, err := unpack(c, bytes.NewReader(stored), expect)
		if !errors.Is(err, want.err) || errors.Is(err, seal.ErrDamaged) {
			t.Errorf("%s gets %v, want %v", name, err, want.err)
		}
	}
	c.identities = identities(t, newX25519(t).private).With(identities(t, all["SSH RSA"].private))
	if _, err := unpack(c, bytes.NewReader(stored), expect); err != nil {
		t.Errorf("one of two identities does not open it: %v", err)
	}
}

func TestPostQuantumRecipientsStandAlone(t *testing.T) {
	t.Parallel()
	key := newHybrid(t)
	c := packing{Packing: seal.Packing{Compression: seal.None, Recipients: recipients(t, key.public)}, identities: identities(t, key.private)}
	stored, expect := pack(t, c, text(500), 100)
	if got, err := unpack(c, bytes.NewReader(stored), expect); err != nil || !bytes.Equal(got, text(500)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := seal.ParseRecipients([]string{key.public, newX25519(t).public}); err == nil {
		t.Error("a post-quantum key beside a classic one is taken")
	}
}

func TestSealedTextsAreOpenedOrAnError(t *testing.T) {
	t.Parallel()
	key := newX25519(t)
	to, by := recipients(t, key.public), identities(t, key.private)
	for _, plain := range [][]byte{nil, []byte("x"), text(3 * chunk)} {
		sealed, err := to.Seal(plain)
		if err != nil {
			t.Fatal(err)
		}
		got, err := by.Open(sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes come back as %d, %v", len(plain), len(got), err)
		}
		for i := 0; i < len(sealed); i += 1 + i/300 {
			damaged := bytes.Clone(sealed)
			damaged[i] ^= 1
			if _, err := by.Open(damaged); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("byte %d of %d flipped: %v", i, len(sealed), err)
			}
			if _, err := by.Open(sealed[:i]); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("cut to %d of %d: %v", i, len(sealed), err)
			}
		}
	}
}

func TestRecipientsAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	age1, sshKey := newX25519(t), newSSH(t, newEd25519(t), "")
	got := recipients(t, " "+age1.public+" ", sshKey.public+" operator@example.com").Names()
	if len(got) != 2 || got[0] != age1.public || got[1] != sshKey.public {
		t.Errorf("names are %q", got)
	}
	if none := recipients(t); !none.IsZero() {
		t.Error("no keys are recipients")
	}
	for name, bad := range map[string][]string{
		"empty": {""}, "a word": {"operator"}, "age cut short": {age1.public[:30]}, "ssh cut short": {sshKey.public[:30]},
		"ssh kind": {"ssh-dss AAAA"}, "twice": {age1.public, age1.public}, "a private key": {age1.private[strings.Index(age1.private, "AGE"):]},
	} {
		_, err := seal.ParseRecipients(bad)
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		if strings.Contains(err.Error(), "AGE-SECRET") {
			t.Errorf("%s: the error repeats the key", name)
		}
	}
}

func TestIdentitiesAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	var encrypted bytes.Buffer
	armored := armor.NewWriter(&encrypted)
	w, err := age.Encrypt(armored, mustScrypt(t))
	if err == nil {
		_, err = io.WriteString(w, newX25519(t).private)
	}
	if err = errors.Join(err, w.Close(), armored.Close()); err != nil {
		t.Fatal(err)
	}
	key := newX25519(t).private
	protected := newSSH(t, newEd25519(t), "open sesame").private
	for name, bad := range map[string]string{
		"empty": "", "a comment": "# nothing", "a public key": newX25519(t).public, "cut": key[:len(key)-9], "encrypted": encrypted.String(),
		"protected": protected, "SSH cut short": newSSH(t, newEd25519(t), "").private[:100],
	} {
		_, err := seal.ParseIdentities([]byte(bad), nil)
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		if strings.Contains(err.Error(), "AGE-SECRET-KEY-1") {
			t.Errorf("%s: the error repeats the key: %v", name, err)
		}
	}
}

func mustScrypt(t *testing.T) age.Recipient {
	t.Helper()
	r, err := age.NewScryptRecipient("passphrase")
	if err != nil {
		t.Fatal(err)
	}
	r.SetWorkFactor(10)
	return r
}

func TestAProtectedSSHKeyAsksForItsPassphrase(t *testing.T) {
	t.Parallel()
	key := newSSH(t, newEd25519(t), "open sesame")
	c := packing{Packing: seal.Packing{Compression: seal.None, Recipients: recipients(t, key.public)}}
	stored, expect := pack(t, c, text(500), 100)
	for phrase, ok := range map[string]bool{"open sesame": true, "open barley": false} {
		asked := 0
		var err error
		c.identities, err = seal.ParseIdentities([]byte(key.private), func() ([]byte, error) { asked++; return []byte(phrase), nil })
		if err != nil {
			t.Fatal(err)
		}
		_, err = unpack(c, bytes.NewReader(stored), expect)
		if (err == nil) != ok || asked != 1 {
			t.Errorf("%q: asked %d times, %v", phrase, asked, err)
		}
		if !ok && errors.Is(err, seal.ErrDamaged) {
			t.Errorf("a wrong passphrase is told as damage: %v", err)
		}
	}
}
