package extension

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// What stands in a CRX3 file, as components/crx_file/crx3.proto of Chromium has it.
const (
	crxMagic         = "Cr24"
	crxVersion       = 3
	crxSigned        = "CRX3 SignedData\x00" // begins what is signed
	crxProofRSA      = 2                     // of CrxFileHeader: AsymmetricKeyProof, SHA-256 with RSA
	crxSignedData    = 10000                 // of CrxFileHeader: SignedData
	crxProofKey      = 1                     // of AsymmetricKeyProof
	crxProofSigned   = 2                     // of AsymmetricKeyProof
	crxSignedDataID  = 1                     // of SignedData
	protobufBytes    = 2                     // wire type: a length and as many bytes
	protobufTypeBits = 3
)

// packCRX signs an archive as Chrome and Edge want it (CRX3). The signature is PKCS #1 v1.5, so that
// the same archive gives the same bytes.
func packCRX(key *rsa.PrivateKey, archive []byte) ([]byte, error) {
	public, err := publicKey(key)
	if err != nil {
		return nil, fmt.Errorf("sign the extension: %w", err)
	}
	signedData := protobufField(nil, crxSignedDataID, crxID(public))
	digest := sha256.New()
	digest.Write([]byte(crxSigned))
	digest.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(signedData))))
	digest.Write(signedData)
	digest.Write(archive)
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("sign the extension: %w", err)
	}
	proof := protobufField(protobufField(nil, crxProofKey, public), crxProofSigned, signature)
	header := protobufField(protobufField(nil, crxProofRSA, proof), crxSignedData, signedData)

	var crx bytes.Buffer
	crx.WriteString(crxMagic)
	crx.Write(binary.LittleEndian.AppendUint32(nil, crxVersion))
	crx.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(header))))
	crx.Write(header)
	crx.Write(archive)
	return crx.Bytes(), nil
}

// protobufField appends a field of bytes to a message.
func protobufField(message []byte, number uint64, value []byte) []byte {
	message = binary.AppendUvarint(message, number<<protobufTypeBits|protobufBytes)
	message = binary.AppendUvarint(message, uint64(len(value)))
	return append(message, value...)
}
