package main

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kontiki-dev/kontiki/node"
	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/client/clienttest"
)

// withSpares is a cluster of three members, and of as many nodes that wait to be added.
func withSpares(t *testing.T, nodes int) *clienttest.Cluster {
	t.Helper()
	cluster := clienttest.New(t, 3+nodes)
	cluster.SetMembers(1, 2, 3)
	return cluster
}

// members runs raftctl against the members of a cluster of three.
func members(t *testing.T, cluster *clienttest.Cluster, line string) result {
	t.Helper()
	env := map[string]string{"RAFTCTL_ENDPOINTS": strings.Join(cluster.URLs()[:3], ",")}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // of a replacement that does not end
	defer cancel()
	return raftctlIn(ctx, env, "", strings.Fields(line)...)
}

// lines returns the rows of tables, with one space between the cells and the URLs by their nodes.
func lines(cluster *clienttest.Cluster, text string) string {
	for _, n := range cluster.Nodes {
		text = strings.ReplaceAll(text, n.URL, fmt.Sprintf("u%d", n.ID))
	}
	var rows []string
	for row := range strings.Lines(text) {
		rows = append(rows, strings.Join(strings.Fields(row), " "))
	}
	return strings.Join(rows, "\n")
}

func TestMembersAreListed(t *testing.T) {
	t.Parallel()
	cluster := withSpares(t, 1)
	r := members(t, cluster, "member list")
	if got, want := lines(cluster, r.stdout), "configuration 0\nID ROLE ADDRESS API PROGRESS\n"+
		"* 1 voter u1 u1\n2 voter u2 u2\n3 voter u3 u3"; got != want || r.code != 0 {
		t.Errorf("exit code %d\n%s\nwant\n%s", r.code, got, want)
	}
	members(t, cluster, "member list -o raw").want(t, 0, "1\n2\n3\n")
	members(t, cluster, "member list --curl").want(t, 0, "curl "+cluster.Nodes[0].URL+"/api/v1/members\n")
	var view api.MembersView
	if err := json.Unmarshal([]byte(members(t, cluster, "member list -o json").stdout), &view); err != nil ||
		len(view.Members) != 3 || view.LeaderID != 1 {
		t.Errorf("as JSON: %+v, %v", view, err)
	}
	cluster.Elect(0)
	members(t, cluster, "member list -o raw --timeout 200ms").want(t, 0, "1\n2\n3\n", "no leader confirms it")
}

// A removed node has members of the past.
func TestARemovedNodeListsNoMembers(t *testing.T) {
	t.Parallel()
	cluster := withSpares(t, 0)
	members(t, cluster, "member remove 3 -o raw").want(t, 0, "1\n")
	alone := "--endpoints " + cluster.Nodes[2].URL + " --timeout 200ms"
	cluster.Nodes[0].Kill()
	cluster.Nodes[1].Kill()
	members(t, cluster, "member list "+alone).want(t, 5, "", "is no member of a cluster; its state is removed")
	members(t, cluster, "member remove 2 "+alone).want(t, 5, "")
}

func TestAChangeShowsTheMembersBeforeAndAfter(t *testing.T) {
	t.Parallel()
	cluster := withSpares(t, 2)
	u4, u5 := cluster.Nodes[3].URL, cluster.Nodes[4].URL
	const voters = "* 1 voter u1 u1\n2 voter u2 u2\n3 voter u3 u3"
	const title = "ID ROLE ADDRESS API PROGRESS\n"
	for _, c := range []struct {
		line, after string
		prepare     func()
	}{
		{
			line:  "member add " + u4 + " --api-url " + u4,
			after: voters + "\n4 learner u4 u4 0 entries behind; then a voter",
		},
		{
			prepare: func() { cluster.SetProgress(4, 0, api.Progress{CaughtUp: true}) },
			line:    "member add " + u5 + " --auto-promote=false",
			after:   voters + "\n4 voter u4 u4\n5 learner u5 - 0 entries behind",
		},
		{
			prepare: func() { cluster.SetProgress(5, 0, api.Progress{CaughtUp: true}) },
			line:    "member promote 5",
			after:   voters + "\n4 voter u4 u4\n5 voter u5 -",
		},
		{
			line:  "member update 5 --api-url " + u5,
			after: voters + "\n4 voter u4 u4\n5 voter u5 u5",
		},
		{
			line:  "member remove 2",
			after: "* 1 voter u1 u1\n3 voter u3 u3\n4 voter u4 u4\n5 voter u5 u5",
		},
		{
			line: "member change --remove 4 --remove 5 --update 3=http://h3:1 --add http://h6:1,http://h6:2 " +
				"--auto-promote=false",
			after: "* 1 voter u1 u1\n3 voter http://h3:1 u3\n" +
				"6 learner http://h6:1 http://h6:2 0 entries behind",
		},
	} {
		if c.prepare != nil {
			c.prepare()
		}
		before := lines(cluster, members(t, cluster, "member list").stdout)
		r := members(t, cluster, c.line)
		_, got, _ := strings.Cut(lines(cluster, r.stdout), "after: configuration ")
		_, rows, _ := strings.Cut(got, "\n"+title)
		if r.code != 0 || rows != c.after {
			t.Errorf("%s: exit code %d %s\n%s\nwant\n%s", c.line, r.code, r.stderr, rows, c.after)
		}
		if !strings.HasPrefix(lines(cluster, r.stdout), "before: "+before) {
			t.Errorf("%s:\n%s\nwant before:\n%s", c.line, lines(cluster, r.stdout), before)
		}
	}
	var answer memberAnswer
	r := members(t, cluster, "member add http://h7:1 -o json")
	if err := json.Unmarshal([]byte(r.stdout), &answer); err != nil || !reflect.DeepEqual(answer.Added, []uint64{7}) ||
		len(answer.Before.Members) != 3 || len(answer.After.Members) != 4 {
		t.Errorf("as JSON: %+v, %v", answer, err)
	}
	members(t, cluster, "member add http://h8:1 -o raw").want(t, 0, "8\n")
}

// The members that a change was decided on are those that it shows. (T24)
func TestAChangeIsOfTheMembersThatItShows(t *testing.T) {
	t.Parallel()
	cluster := withSpares(t, 0)
	members(t, cluster, "member remove 3 -o raw").want(t, 0, "1\n")
	for _, change := range cluster.Changes() {
		if change.ExpectedConfigIndex == nil || *change.ExpectedConfigIndex != 0 {
			t.Errorf("the change is for any members: %+v", change)
		}
	}
	members(t, cluster, "member remove 2 --expected-index 0").want(t, 4, "",
		"error: the configuration in force is that of entry 1",
		"nothing was done; the members are those of configuration 1 now", "raftctl member list")
	members(t, cluster, "member remove 2 --expected-index 1 --force -o raw").want(t, 0, "2\n")
	if last := cluster.Changes()[1]; !last.Force {
		t.Errorf("--force is missing in %+v", last)
	}
}

func TestARefusedChangeNamesWhatIsRight(t *testing.T) {
	t.Parallel()
	cluster := withSpares(t, 1)
	u2 := cluster.Nodes[1].URL
	members(t, cluster, "member remove 9").want(t, 2, "",
		"error: the change does not fit the members: node 9 is not a member",
		"members: 1, 2, 3; see: raftctl member list")
	members(t, cluster, "member update 9 --api-url http://h:1").want(t, 2, "",
		"error: node 9 is not a member; members: 1, 2, 3")
	members(t, cluster, "member promote 2").want(t, 2, "", "member 2 is a voter already")
	members(t, cluster, "member add http://h4:1 --id 3").want(t, 2, "", "the id was used before: 3; use 4 or a higher one",
		"without --id the new member gets the next free id")
	members(t, cluster, "member add "+u2).want(t, 2, "", "another member has the address",
		"if the disk of member 2 was lost: raftctl member replace 2 --with "+u2)
	cluster.RefuseChanges(fmt.Errorf("%w: too few voters would respond", node.ErrChangeRefused))
	members(t, cluster, "member remove 2").want(t, 4, "",
		"error: the members cannot be changed now: too few voters would respond",
		"nothing was done; repeat it later, or with --force")
	members(t, cluster, "member remove 2 --force").want(t, 4, "", "nothing was done; look at the members")
	cluster.RefuseChanges(nil)
	cluster.Elect(0)
	members(t, cluster, "member remove 2 --timeout 200ms").want(t, 5, "", "error: no leader. Tried")
	if changes := cluster.Changes(); len(changes) > 0 {
		t.Errorf("the cluster did %+v", changes)
	}
}

func TestMemberCommandLines(t *testing.T) {
	t.Parallel()
	cluster := withSpares(t, 0)
	for line, want := range map[string]string{
		"member remove":                              "takes the ID of one member; 0 were given",
		"member remove 1 2":                          "takes the ID of one member; 2 were given",
		"member remove -1":                           `ID is "-1"; it must be the id of a member`,
		"member promote two":                         `ID is "two"; it must be the id of a member`,
		"member add":                                 "takes the peer URL of one node; 0 were given",
		"member add h4:7080":                         "it should be a URL like http://host:7080",
		"member add http://h4:1 --api-url h4":        "it should be a URL like http://host:8080",
		"member add http://h4:1 --id x":              "want a non-negative integer, like --id 1",
		"member update 2":                            "needs --url, --api-url or both",
		"member update 2 --url http://h2":            "has no port",
		"member update 2 --url http://h2:1 --curl":   "--curl needs --url and --api-url",
		"member change":                              "needs --add, --promote, --update or --remove",
		"member change --add ,http://h":              `--add is ",http://h"; it must be like http://h4:7080`,
		"member change --update 2":                   `--update is "2"; it must be like 2=http://h2:7080`,
		"member change --update x=http://h:1":        `--update is "x=http://h:1"`,
		"member change --update 2=h":                 "it should be a URL like",
		"member change --remove 0":                   `--remove is "0"; it must be the id of a member`,
		"member change --promote x":                  `--promote is "x"; it must be the id of a member`,
		"member remove 2 --expected-index -2":        "--expected-index is -2",
		"member replace 2":                           "needs --with URL",
		"member replace 2 --with h4":                 "it should be a URL like",
		"member replace --with http://h4:1":          "takes the ID of one member; 0 were given",
		"member replace 2 --with http://h4:1 --curl": "--curl shows one request",
		"member list 2":                              `takes no argument; "2" was given`,
		"member lst":                                 `unknown command`,
	} {
		members(t, cluster, line).want(t, exitUsage, "", want)
	}
	for line, want := range map[string]string{
		"member add http://h4:1":                     `{"add":[{"address":"http://h4:1","auto_promote":true}]}`,
		"member remove 2 --expected-index 7 --force": `{"expected_config_index":7,"remove":[2],"force":true}`,
		"member promote 4":                           `{"promote":[4]}`,
		"member change --remove 2 --promote 4":       `{"promote":[4],"remove":[2]}`,
		"member update 2 --url http://h2:1 --api-url https://h2.example": `{"update":[{"id":2,"address":"http://h2:1",` +
			`"api_address":"https://h2.example","role":""}]}`,
	} {
		members(t, cluster, line+" --curl").want(t, 0, "curl -X POST --data-binary '"+want+"' "+cluster.Nodes[0].URL+
			"/api/v1/members/change\n")
	}
	if changes := cluster.Changes(); len(changes) > 0 {
		t.Errorf("the cluster did %+v", changes)
	}
}
