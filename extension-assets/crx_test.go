package extension_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	extension "example.com/signpost/extension-assets"
)

// idOf is the id of a public key as Chromium computes it, by another way than the package's.
func idOf(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.Map(func(r rune) rune {
		return rune("abcdefghijklmnop"[strings.IndexRune("0123456789abcdef", r)])
	}, hex.EncodeToString(sum[:])[:32])
}

// readCRX reads a CRX3 as Chromium does (components/crx_file/crx_verifier.cc) and returns its id and its
// archive: what is unknown, cut off or not signed is an error.
func readCRX(crx []byte) (id string, archive []byte, err error) {
	if len(crx) < 12 || string(crx[:4]) != "Cr24" {
		return "", nil, errors.New("no CRX")
	}
	if version := binary.LittleEndian.Uint32(crx[4:]); version != 3 {
		return "", nil, fmt.Errorf("version %d", version)
	}
	length := binary.LittleEndian.Uint32(crx[8:])
	if uint64(length) > uint64(len(crx)-12) {
		return "", nil, errors.New("the header is cut off")
	}
	header, archive := crx[12:12+length], crx[12+length:]
	var proofs [][]byte
	var signedData []byte
	err = eachField(header, func(number uint64, value []byte) error {
		switch number {
		case 2:
			proofs = append(proofs, value)
		case 10000:
			signedData = value
		default:
			return fmt.Errorf("header field %d", number)
		}
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	var crxID []byte
	err = eachField(signedData, func(number uint64, value []byte) error {
		if number != 1 || len(value) != 16 {
			return fmt.Errorf("signed data field %d of %d bytes", number, len(value))
		}
		crxID = value
		return nil
	})
	if err != nil || crxID == nil || len(proofs) != 1 {
		return "", nil, fmt.Errorf("id %x, %d proofs, %w", crxID, len(proofs), err)
	}
	var der, signature []byte
	err = eachField(proofs[0], func(number uint64, value []byte) error {
		switch number {
		case 1:
			der = value
		case 2:
			signature = value
		default:
			return fmt.Errorf("proof field %d", number)
		}
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(der)
	if !bytes.Equal(sum[:16], crxID) {
		return "", nil, errors.New("the id is not the key's")
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return "", nil, err
	}
	public, ok := parsed.(*rsa.PublicKey)
	if !ok || public.N.BitLen() < 2048 {
		return "", nil, errors.New("no RSA key of 2048 bits or more")
	}
	var signed bytes.Buffer
	signed.WriteString("CRX3 SignedData\x00")
	if err := binary.Write(&signed, binary.LittleEndian, uint32(len(signedData))); err != nil {
		return "", nil, err
	}
	signed.Write(signedData)
	signed.Write(archive)
	digest := sha256.Sum256(signed.Bytes())
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature); err != nil {
		return "", nil, err
	}
	return idOf(der), archive, nil
}

// eachField reads a protobuf message of fields that are all length-delimited.
func eachField(message []byte, do func(number uint64, value []byte) error) error {
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 || tag&7 != 2 {
			return fmt.Errorf("tag %d", tag)
		}
		message = message[n:]
		length, n := binary.Uvarint(message)
		if n <= 0 || length > uint64(len(message)-n) {
			return errors.New("a field is cut off")
		}
		if err := do(tag>>3, message[n:n+int(length)]); err != nil {
			return err
		}
		message = message[n+int(length):]
	}
	return nil
}

func TestTheCRXIsSignedForTheID(t *testing.T) {
	t.Parallel()
	p := build(t, input(t, extension.Files))
	id, archive, err := readCRX(content(t, p, extension.CRX))
	if err != nil || id != p.ChromeID {
		t.Fatalf("id %s, %v; want %s", id, err, p.ChromeID)
	}
	if !bytes.Equal(archive, content(t, p, extension.ZipName(extension.Chrome))) {
		t.Error("the CRX holds another archive than signpost-chrome.zip")
	}
	for _, name := range []string{extension.UpdatesXML, "policies/chrome.json", "policies/edge.json"} {
		if !strings.Contains(string(content(t, p, name)), id) {
			t.Errorf("%s does not name %s", name, id)
		}
	}
}

func TestACRXWithOneBitChangedIsRefused(t *testing.T) {
	t.Parallel()
	crx := content(t, build(t, input(t, plain())), extension.CRX)
	header := 12 + int(binary.LittleEndian.Uint32(crx[8:]))
	step := 1
	for at := 0; at < len(crx); at += step {
		if at == header {
			step = 37 // one signature is over all of the archive
		}
		changed := bytes.Clone(crx)
		changed[at] ^= 1 << (at % 8)
		if _, _, err := readCRX(changed); err == nil {
			t.Errorf("bit %d of byte %d can be changed", at%8, at)
		}
	}
	for _, length := range []int{0, 3, 11, header - 1, header, len(crx) - 1} {
		if _, _, err := readCRX(crx[:length]); err == nil {
			t.Errorf("cut off after %d bytes it is taken", length)
		}
	}
}
