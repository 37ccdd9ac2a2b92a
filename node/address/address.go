package address

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// CheckPeerURL refuses what cannot be the URL of a node's peer port, as a person gives it: one without a port leads to
// port 80, which is hardly meant.
func CheckPeerURL(text string) error {
	u, err := Base(text, "http")
	if err == nil && u.Port() == "" {
		err = errors.New("has no port")
	}
	if err != nil {
		return wrongPeerURL(text, err)
	}
	return nil
}

// CheckMemberURL is CheckPeerURL that allows a URL without a port: the disk of a member may hold one.
func CheckMemberURL(text string) error {
	if _, err := Base(text, "http"); err != nil {
		return wrongPeerURL(text, err)
	}
	return nil
}

func wrongPeerURL(text string, why error) error {
	return fmt.Errorf("%s %w; it should be a URL like http://host:7080", shown(text), why)
}

// CheckAPIURL refuses what cannot be the URL of a node's API.
func CheckAPIURL(text string) error {
	if _, err := Base(text, "http", "https"); err != nil {
		return fmt.Errorf("%s %w; it should be a URL like http://host:8080", shown(text), err)
	}
	return nil
}

// shown quotes a URL for a message, without its password.
func shown(text string) string {
	if u, err := url.Parse(text); err == nil && u.User != nil {
		text = u.Redacted()
	}
	return strconv.Quote(text)
}

// Base reads a URL that has one of the schemes, a host that others can reach, no port or one that there can be, and
// nothing behind that. The error continues a sentence that begins with the URL.
func Base(text string, schemes ...string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("is not a URL")
	}
	port, err := strconv.ParseUint(cmp.Or(u.Port(), "80"), 10, 16)
	switch {
	case !slices.Contains(schemes, u.Scheme):
		return nil, errors.New("does not begin with " + strings.Join(schemes, ":// or ") + "://")
	case u.User != nil:
		return nil, errors.New("has credentials, which are not supported")
	case u.Hostname() == "":
		return nil, errors.New("has no host")
	case err != nil || port == 0 || strings.HasSuffix(u.Host, ":"):
		return nil, errors.New("has a port that is not from 1 to 65535")
	case strings.HasPrefix(u.Port(), "0"):
		return nil, errors.New("has a port with a leading zero")
	case strings.TrimSuffix(u.Path, "/") != "" || strings.ContainsAny(text, "?#"):
		return nil, errors.New("has something behind the port")
	}
	return u, checkHost(u.Hostname())
}

// checkHost refuses a host that no other node can reach.
func checkHost(host string) error {
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.IsUnspecified() {
			return errors.New("has a host at which a node can listen, but not be reached")
		}
		return nil
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(host) > 254 || slices.ContainsFunc(labels, isNoLabel) {
		return errors.New("has a host that is neither a DNS name nor an IP address")
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return errors.New("has a host of numbers that is not an IP address")
	}
	return nil
}

// isNoLabel reports whether a text cannot be a part of a DNS name. Underscores are not allowed there, and used.
func isNoLabel(text string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	return text == "" || len(text) > 63 || strings.Trim(text, allowed) != ""
}

// HostAndPort returns where a base URL leads, in one form for every way to write it.
func HostAndPort(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return base
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	port := cmp.Or(u.Port(), "80")
	if number, err := strconv.ParseUint(port, 10, 16); err == nil {
		port = strconv.FormatUint(number, 10) // the data of an older version may have a leading zero
	}
	return net.JoinHostPort(host, port)
}

// Normal returns a base URL without a slash at its end, and with its host in small letters.
func Normal(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return base
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}

// CheckHost refuses what cannot be the host of a Host header, with or without a port.
func CheckHost(text string) error {
	host, port := text, ""
	if h, p, err := net.SplitHostPort(text); err == nil {
		host, port = h, p
		if number, err := strconv.ParseUint(p, 10, 16); err != nil || number == 0 || p[0] == '0' {
			return fmt.Errorf("%q has a port that is not from 1 to 65535", text)
		}
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") && strings.Contains(host, ":") && port == "" {
		host = host[1 : len(host)-1]
	}
	if text == "" || checkHost(host) != nil {
		return fmt.Errorf("%q is not a host: give a DNS name or an IP address, with or without a port, like "+
			"node1.example.com; patterns and URLs match nothing", text)
	}
	return nil
}

// SamePlace reports whether two addresses to listen on, HOST:PORT, are one: the same port, and hosts that share an
// address. Port 0 is never the same.
func SamePlace(one, two string) bool {
	hostOne, portOne, errOne := net.SplitHostPort(one)
	hostTwo, portTwo, errTwo := net.SplitHostPort(two)
	numberOne, _ := strconv.ParseUint(portOne, 10, 16)
	numberTwo, _ := strconv.ParseUint(portTwo, 10, 16)
	if errOne != nil || errTwo != nil || numberOne == 0 || numberOne != numberTwo {
		return false
	}
	return SameInterface(hostOne, hostTwo)
}

// SameInterface reports whether two hosts to listen on share an address.
func SameInterface(one, two string) bool {
	return slices.ContainsFunc(listenedHosts(one), func(host string) bool {
		return host == allHosts || slices.Contains(listenedHosts(two), host)
	}) || slices.Contains(listenedHosts(two), allHosts)
}

// allHosts stands for every address of this machine, of IPv4 and IPv6 alike: package net listens on both.
const allHosts = "*"

func listenedHosts(host string) []string {
	host = HostOf(host)
	address, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && address.IsUnspecified():
		return []string{allHosts}
	case host == "localhost":
		return []string{"127.0.0.1", "::1"}
	}
	return []string{host}
}
