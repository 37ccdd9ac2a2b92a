package observation

import (
	"fmt"

	"github.com/kontiki-dev/kontiki/node/api"
	"github.com/kontiki-dev/kontiki/node/identity"
)

// bootstrapIt is what to do with a node that was started to join and has no identity.
const bootstrapIt = "bootstrap it (POST /api/v1/cluster/bootstrap), or add it to a cluster (raftctl member add)"

// missing returns which members a founding waits for, and what to do.
func missing(f *api.Founding) string {
	who, what := identity.NodeNames(f.Missing), "all "+fmt.Sprint(f.Needed)
	verb := "do"
	if len(f.Missing) == 1 {
		verb = "does"
	}
	if f.Needed < f.Members {
		what = fmt.Sprintf("%d of them", f.Needed)
	}
	start := who
	if count := f.Needed - (f.Members - len(f.Missing)); count < len(f.Missing) {
		start = fmt.Sprintf("%d of %s", count, who)
	}
	text := fmt.Sprintf("%s %s not answer, and a new cluster of %d members needs %s at its first start; start %s", who,
		verb, f.Members, what, start)
	if majority := f.Members/2 + 1; majority < f.Needed && f.Members-len(f.Missing) >= majority {
		text += ", or give --found-by-majority if no member ever had data"
	}
	return text
}

// Waits returns why a node takes no part yet and what to do; "" if it takes part.
func Waits(s *api.Status) string {
	switch {
	case s.LifeCycle == api.StateMember:
		return ""
	case s.LifeCycle == api.StateRemoved:
		return "it was removed from the cluster, and keeps its files; to add it again, give it an empty data directory"
	case s.ID == 0 || s.ClusterID == "":
		return "it belongs to no cluster yet; " + bootstrapIt
	case s.Founding != nil:
		return missing(s.Founding)
	}
	return "it is starting"
}
