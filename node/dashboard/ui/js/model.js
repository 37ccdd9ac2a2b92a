// One node's status of the cluster, made safe to draw: every field is present, and a missing value is null.

const OLD_MS = 2000; // a node's status older than this is marked old
const GONE_MS = 10000; // older than this it counts as unreachable

const number = (value) => (typeof value === 'number' && Number.isFinite(value) ? value : null);
const text = (value) => (typeof value === 'string' ? value : '');
const object = (value) => (value !== null && typeof value === 'object' ? value : {});
const array = (value) => (Array.isArray(value) ? value : []);
const id = (value) => (Number.isSafeInteger(value) && value > 0 ? value : 0);

function quantiles(raw) {
	const q = object(raw);
	const seen = number(q.count) !== 0;
	return {
		p50: seen ? number(q.p50) : null,
		p99: seen ? number(q.p99) : null,
		count: number(q.count),
		buckets: array(q.buckets).map((n) => number(n) ?? 0),
	};
}

function readMember(raw) {
	const m = object(raw);
	return { id: id(m.id), address: text(m.address), api: httpOnly(m.api_address), role: text(m.role) || 'voter' };
}

/** httpOnly lets only http and https addresses through: they become links and request targets. */
function httpOnly(value) {
	try {
		const url = new URL(text(value));
		return url.protocol === 'http:' || url.protocol === 'https:' ? url.origin : '';
	} catch {
		return '';
	}
}

function readNode(raw, member) {
	const n = object(raw);
	const age = number(n.age_ms);
	const error = text(n.error);
	const neverSeen = age === null || age < 0;
	return {
		id: id(n.id) || member.id,
		api: httpOnly(n.api_address) || member.api,
		address: text(n.address) || member.address,
		version: text(n.version),
		lifeCycle: text(n.life_cycle),
		learner: member.role === 'learner',
		member: member.role, // '': it is no member
		role: ['LEADER', 'FOLLOWER', 'CANDIDATE', 'LEARNER'].includes(n.state) ? n.state : null,
		reason: text(n.reason),
		term: number(n.current_term),
		votedFor: id(n.voted_for),
		leader: id(n.leader_id),
		commit: number(n.commit_index),
		applied: number(n.last_applied),
		last: number(n.last_log_index),
		first: number(n.first_log_index),
		uptime: number(n.uptime_s),
		ledFor: number(n.leader_for_s),
		contact: number(n.last_contact_ms),
		matchIndex: object(n.match_index),
		nextIndex: object(n.next_index),
		progress: object(n.progress),
		latency: {
			write: quantiles(object(n.latency).write),
			read: quantiles(object(n.latency).read),
			fsync: quantiles(object(n.latency).fsync),
		},
		writes: number(object(n.rates).writes),
		reads: number(object(n.rates).reads),
		logBytes: number(object(n.disk).log_bytes),
		freeBytes: number(object(n.disk).free_bytes),
		slowDisk: object(n.disk).slow === true,
		pending: number(n.proposals_pending),
		age: neverSeen ? null : age,
		error,
		unreachable: error !== '' || neverSeen || age >= GONE_MS,
		old: !neverSeen && age >= OLD_MS,
	};
}

/** readChange returns the change of the members that is in progress; null if there is none. */
function readChange(config, members) {
	const index = number(config.index);
	const before = array(config.outgoing).map(id).filter(Boolean);
	const committed = number(config.committed_index);
	if (before.length === 0 && (committed === null || index === null || committed >= index)) return null;
	return { index, before, after: members.filter((m) => m.role === 'voter').map((m) => m.id) };
}

/** addProgress fills in the leader's progress of each node. */
function addProgress(nodes, leader) {
	for (const node of nodes) {
		const progress = object(leader?.progress[node.id]);
		const self = node === leader;
		// A new leader starts at 0 (paper, figure 2): the value is not known yet.
		node.match = self ? leader.last : number(leader?.matchIndex[node.id]) || null;
		node.next = self ? null : number(leader?.nextIndex[node.id]);
		node.lag = self || node.match === null || leader?.last === null ? null : Math.max(0, leader.last - node.match);
		node.rtt = self ? null : number(progress.rtt_ms) || null;
		node.ackAge = self ? null : number(progress.ack_age_ms);
		node.sending = self ? null : text(progress.state) || null;
		node.probing = node.sending === 'probe';
		node.inflight = number(progress.inflight);
		node.caught = node.lag === null || !leader.last ? null : Math.floor((100 * node.match) / leader.last);
	}
}

/** readStatus turns GET /api/status, or a status event, into a model. Any of its fields may be missing. */
export function readStatus(raw) {
	const status = object(raw);
	const members = array(object(status.config).members).map(readMember).filter((m) => m.id);
	const byID = new Map(members.map((m) => [m.id, m]));
	const rawNodes = array(status.nodes).filter((n) => id(object(n).id));
	const unknown = members.length > 0 ? '' : 'voter'; // without a list, every node counts
	const nodes = rawNodes.map((n) => readNode(n, byID.get(n.id) ?? { id: n.id, address: '', api: '', role: unknown }));
	for (const member of members) {
		if (!nodes.some((n) => n.id === member.id)) nodes.push(readNode({}, member));
	}
	nodes.sort((a, b) => a.id - b.id);
	const leaderID = id(status.leader_id);
	const leader = nodes.find((n) => n.id === leaderID) ?? null;
	addProgress(nodes, leader && !leader.unreachable ? leader : null);
	const health = object(status.health);
	const observer = id(status.observer);
	return {
		clusterID: text(status.cluster_id),
		observer,
		self: nodes.find((n) => n.id === observer) ?? null,
		leaderID,
		leader,
		term: number(status.term),
		configIndex: number(object(status.config).index),
		change: readChange(object(status.config), members),
		nodes,
		health: {
			state: text(health.state),
			voters: number(health.voters),
			reachable: number(health.reachable),
			quorum: number(health.quorum),
			tolerates: number(health.tolerates),
			reasons: array(health.reasons).filter((r) => typeof r === 'string'),
		},
		events: array(status.recent_events).map(readEvent).filter(Boolean),
	};
}

/** readEvent turns one raft event into a safe one, or null if it has no kind. */
export function readEvent(raw) {
	const e = object(raw);
	if (text(e.kind) === '') return null;
	return {
		cursor: number(e.cursor) ?? 0,
		seq: number(e.seq) ?? 0,
		node: id(e.node),
		at: number(e.at_ms) ?? 0,
		kind: e.kind,
		term: number(e.term) ?? 0,
		from: id(e.from),
		to: id(e.to),
		preVote: e.pre_vote === true,
		cleared: typeof e.alarm === 'string' && !e.level,
		granted: e.granted === true,
		role: text(e.role),
		votes: array(e.votes).map(id).filter(Boolean),
		duration: number(e.duration_ms),
		reason: text(e.reason),
	};
}

/** readView turns GET /api/v1/cluster into a node's own view. */
export function readView(raw) {
	const v = object(raw);
	return {
		id: id(v.node_id),
		role: text(v.role),
		term: number(v.term),
		leader: id(v.leader_id),
		commit: number(v.commit_index),
		last: number(v.last_log_index),
		capabilities: array(v.capabilities).filter((c) => typeof c === 'string'),
	};
}
