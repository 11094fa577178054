package maven

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
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

// dearmor decodes the first signature of a text. Some publishers call it a message, as
// what is compressed is called.
func dearmor(text []byte) ([]byte, error) {
	const begin, message = "-----BEGIN PGP SIGNATURE-----", "-----BEGIN PGP MESSAGE-----"
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	_, rest, ok := bytes.Cut(text, []byte(begin+"\n"))
	if !ok {
		_, rest, ok = bytes.Cut(text, []byte(message+"\n"))
	}
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

// The tags of packets.
const (
	signature  = 2
	compressed = 8
)

// signaturePacket is the body of the first packet, which must be a signature, or that of
// the first one in a compressed packet.
func signaturePacket(data []byte) ([]byte, error) {
	tag, body := firstPacket(data)
	if tag == compressed {
		inner, err := decompress(body)
		if err != nil {
			return nil, err
		}
		tag, body = firstPacket(inner)
	}
	if tag != signature || len(body) == 0 {
		return nil, errors.New("it holds no signature")
	}
	return body, nil
}

func firstPacket(data []byte) (tag uint32, body []byte) {
	p := &packet{data}
	head := p.number(1)
	tag = head & 0x3f
	switch old := head >> 2 & 0xf; {
	case head&0xc0 == 0xc0:
		return tag, p.take(p.length())
	case head&0x80 != 0 && head&3 != 3:
		return old, p.take(int(p.number(1 << (head & 3))))
	case head&0x80 != 0 && old == compressed: // up to the end
		return old, p.rest
	}
	return tag, nil
}

// decompress reads the body of a compressed packet.
func decompress(body []byte) ([]byte, error) {
	const room = 64 << 10
	p := &packet{body}
	var r io.Reader
	var err error
	switch algorithm := p.take(1); {
	case algorithm == nil:
		return nil, errors.New("it is cut")
	case algorithm[0] == 0:
		return p.rest, nil
	case algorithm[0] == 1:
		r = flate.NewReader(bytes.NewReader(p.rest))
	case algorithm[0] == 2:
		r, err = zlib.NewReader(bytes.NewReader(p.rest))
	default:
		return nil, fmt.Errorf("it is compressed in a way that is not known, %d", algorithm[0])
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, room))
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
