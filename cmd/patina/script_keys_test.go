package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"
	"strings"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"
)

// cmdKeygen makes a key pair: the private key in NAME.key, the public one in
// the variable NAME.
//
//	keygen age|ssh NAME
func cmdKeygen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: keygen age|ssh NAME")
	}
	var public, private string
	var err error
	switch args[0] {
	case "age":
		var key *age.X25519Identity
		key, err = age.GenerateX25519Identity()
		ts.Check(err)
		public, private = key.Recipient().String(), key.String()+"\n"
	case "ssh":
		public, private, err = newSSHKey()
		ts.Check(err)
	default:
		ts.Fatalf("unknown: keygen %s", args[0])
	}
	ts.Setenv(args[1], public)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]+".key"), []byte(private), 0o600))
}

func newSSHKey() (public, private string, err error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", err
	}
	sshPublic, err := ssh.NewPublicKey(pub)
	if err != nil {
		return "", "", err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return "", "", err
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(sshPublic))), string(pem.EncodeToMemory(block)), nil
}
