package maven

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
)

// Signer returns the key that a detached signature of OpenPGP (RFC 9580), in ASCII
// armor, says that it was made with: its fingerprint, or else its key ID, in upper-case
// hexadecimal. That is what the signature says; nothing is verified here, which takes
// the key.
func Signer(armored []byte) (string, error) {
	data, err := dearmor(armored)
	if err != nil {
		return "", err
	}
	body, err := signaturePacket(data)
	if err != nil {
		return "", err
	}
	p := &packet{body}
	switch version := p.take(1); {
	case len(version) == 1 && version[0] == 3:
		p.take(6) // length, type and time
		if id := p.take(8); len(id) == 8 {
			return fmt.Sprintf("%X", id), nil
		}
	case len(version) == 1 && (version[0] == 4 || version[0] == 6):
		p.take(3) // type and algorithms
		octets := 2
		if version[0] == 6 {
			octets = 4
		}
		id := ""
		for range 2 { // the hashed ones, and the others
			key, exact, err := issuer(p.take(int(p.number(octets))))
			if err != nil {
				return "", err
			}
			if exact {
				return key, nil
			}
			if id == "" {
				id = key
			}
		}
		if id != "" {
			return id, nil
		}
	}
	return "", errors.New("it does not say which key made it")
}

// dearmor decodes the first signature of a text.
func dearmor(text []byte) ([]byte, error) {
	const begin = "-----BEGIN PGP SIGNATURE-----"
	_, rest, ok := bytes.Cut(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte(begin+"\n"))
	if !ok {
		return nil, errors.New("it has no " + begin)
	}
	if !bytes.HasPrefix(rest, []byte("\n")) {
		_, rest, ok = bytes.Cut(rest, []byte("\n\n")) // headers
	}
	rest, _, end := bytes.Cut(rest, []byte("-----END"))
	if !ok || !end {
		return nil, errors.New("its armor has no end")
	}
	var code []byte
	for line := range bytes.Lines(rest) {
		line = bytes.TrimSpace(line)
		if bytes.HasPrefix(line, []byte("=")) { // a checksum
			break
		}
		code = append(code, line...)
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(code)))
	n, err := base64.StdEncoding.Decode(data, code)
	if err != nil || n == 0 {
		return nil, errors.New("its armor is not base64")
	}
	return data[:n], nil
}

// A packet is what is left of one.
type packet struct{ rest []byte }

// take returns the next octets, nil if there are fewer.
func (p *packet) take(n int) []byte {
	if n < 0 || n > len(p.rest) {
		p.rest = nil
		return nil
	}
	taken := p.rest[:n]
	p.rest = p.rest[n:]
	return taken
}

// number reads a number of some octets, 0 if there are fewer.
func (p *packet) number(octets int) (n uint32) {
	for _, octet := range p.take(octets) {
		n = n<<8 | uint32(octet)
	}
	return n
}

// length reads a length in the form of new packets, and of subpackets.
func (p *packet) length() int {
	switch first := p.number(1); {
	case first < 192:
		return int(first)
	case first < 255:
		return int(first-192)<<8 + int(p.number(1)) + 192
	}
	return int(p.number(4))
}

// signaturePacket is the body of the first packet, which must be a signature.
func signaturePacket(data []byte) ([]byte, error) {
	p := &packet{data}
	head := p.number(1)
	tag, n := head&0x3f, 0
	switch {
	case head&0xc0 == 0xc0:
		n = p.length()
	case head&0x80 != 0 && head&3 != 3:
		tag = head >> 2 & 0xf
		n = int(p.number(1 << (head & 3)))
	}
	body := p.take(n)
	if tag != 2 || len(body) == 0 {
		return nil, errors.New("it holds no signature")
	}
	return body, nil
}

// issuer finds the key among subpackets. Exact says that it is a fingerprint.
func issuer(subpackets []byte) (key string, exact bool, err error) {
	p := &packet{subpackets}
	for len(p.rest) > 0 {
		n := p.length()
		body := p.take(n)
		if len(body) == 0 {
			return "", false, errors.New("its subpackets are cut")
		}
		switch body[0] & 0x7f {
		case 33: // the version of the key, and its fingerprint
			if n := len(body); n == 2+20 || n == 2+32 {
				return fmt.Sprintf("%X", body[2:]), true, nil
			}
		case 16:
			if len(body) == 1+8 {
				key = fmt.Sprintf("%X", body[1:])
			}
		}
	}
	return key, false, nil
}
