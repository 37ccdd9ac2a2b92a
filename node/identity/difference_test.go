package identity

import (
	"testing"

	"github.com/kontiki-dev/kontiki/node/raft"
)

func TestDifferingMembersAreNamed(t *testing.T) {
	t.Parallel()
	members := func(addresses ...string) []Member {
		var list []Member
		for i, a := range addresses {
			if a != "" {
				list = append(list, Member{ID: raft.NodeID(i + 1), Address: a})
			}
		}
		return list
	}
	for want, two := range map[string][]Member{
		"": members("http://A:7080/", "http://b.:7080", "http://[0:0::1]:7080"),
		"member 2 is at http://b:7080 in the data and at http://x:7080 in the flag": members("http://a:7080", "http://x:7080",
			"http://[::1]:7080"),
		"member 3 is only in the data, at http://[::1]:7080": members("http://a:7080", "http://b:7080"),
		"member 4 is only in the flag, at http://d:7080": members("http://a:7080", "http://b:7080", "http://[::1]:7080",
			"http://d:7080"),
		"member 1 is only in the data, at http://a:7080; member 2 is only in the data, at http://b:7080; " +
			"member 3 is only in the data, at http://[::1]:7080; 2 more differ": members("", "", "", "http://d:1", "http://e:1"),
	} {
		one := members("http://a:7080", "http://b:7080", "http://[::1]:7080")
		if got := Difference(one, "the data", two, "the flag"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
