// Raft events in words, and elections reconstructed from their events.
import { names, span } from './format.js';

const KEEP = 1024;

/** identity names an event across the streams of different nodes. */
const identity = (e) => `${e.node}:${e.seq}:${e.at}`;

/** mergeEvents adds the new events, in the order in which they were received. */
export function mergeEvents(known, incoming) {
	if (incoming.length === 0) return known;
	const seen = new Set(known.map(identity));
	const fresh = incoming.filter((e) => !seen.has(identity(e)));
	if (fresh.length === 0) return known;
	const merged = [...known, ...fresh];
	return merged.length > KEEP ? merged.slice(-KEEP) : merged;
}

function voteSteps(events, term) {
	const steps = [];
	const seen = new Set();
	for (const e of events) {
		if (e.term !== term || (e.kind !== 'vote_asked' && e.kind !== 'vote')) continue;
		// Both ends may have recorded the same vote; it is drawn once.
		const key = `${e.kind} ${e.preVote} ${e.from} ${e.to}`;
		if (seen.has(key) || !e.from || !e.to || e.from === e.to) continue;
		seen.add(key);
		steps.push({ kind: e.kind, from: e.from, to: e.to, granted: e.granted, preVote: e.preVote });
	}
	return steps;
}

/** inOrder puts requests before their responses: the clocks of different nodes do not order events, causality does. */
function inOrder(steps) {
	const rank = (s) => (s.preVote ? 0 : 2) + (s.kind === 'vote' ? 1 : 0);
	return steps.map((step, i) => ({ step, i })).sort((a, b) => rank(a.step) - rank(b.step)
		|| a.i - b.i).map((x) => x.step);
}

/** elections lists the elections that were won, oldest first, each with the steps to replay. */
export function elections(events) {
	const won = new Map();
	for (const e of events) {
		if (e.kind === 'elected' && e.node) won.set(e.term, e);
	}
	return [...won.values()].sort((a, b) => a.term - b.term).map((e) => {
		const steps = voteSteps(events, e.term);
		// The votes that elected the leader are known even if their voters have not reported them yet.
		for (const voter of e.votes) {
			if (voter === e.node) continue;
			if (!steps.some((s) => s.kind === 'vote_asked' && s.to === voter && !s.preVote)) {
				steps.push({ kind: 'vote_asked', from: e.node, to: voter, granted: false, preVote: false });
			}
			if (!steps.some((s) => s.kind === 'vote' && s.from === voter && !s.preVote)) {
				steps.push({ kind: 'vote', from: voter, to: e.node, granted: true, preVote: false });
			}
		}
		return { term: e.term, leader: e.node, votes: e.votes, duration: e.duration, at: e.at, steps: inOrder(steps) };
	});
}

/** electionWords describes an election in a sentence. */
export function electionWords(election) {
	const took = election.duration ? ` in ${election.duration} ms` : '';
	const by = election.votes.length ? `, votes ${election.votes.join(' ')}` : '';
	return `node ${election.leader} elected${took}, term ${election.term}${by}`;
}

const because = (e) => (e.reason ? ` (${e.reason})` : '');

const WORDS = {
	role: (e) => `node ${e.node} is now ${(e.role || 'of unknown role').toLowerCase()}, term ${e.term}${because(e)}`,
	term: (e) => `node ${e.node} moved to term ${e.term}${because(e)}`,
	vote_asked: (e) => `node ${e.from} asked node ${e.to} for its ${e.preVote ? 'pre-vote' : 'vote'}, term ${e.term}`,
	vote: (e) => `node ${e.from} ${e.granted ? 'gave' : 'refused'} node ${e.to} its ${e.preVote ? 'pre-vote' : 'vote'}, `
		+ `term ${e.term}${because(e)}`,
	elected: (e) => electionWords({ ...e, leader: e.node }),
	stepped_down: (e) => `node ${e.node} stepped down, term ${e.term}${because(e)}`,
	config: (e) => `node ${e.node}: the configuration changed${because(e)}`,
	snapshot: (e) => `node ${e.node}: snapshot${because(e)}`,
	alarm: (e) => `node ${e.node}: ${e.reason || 'alarm'}`,
};

function peerWords(e) {
	const peer = e.to && e.to !== e.node ? e.to : e.from;
	return `node ${peer || '?'} ${e.granted ? 'answers' : 'does not answer'}`;
}

/** rows returns the list to show: newest first, votes only on request, equal events of several nodes once. */
export function rows(events, withVotes, limit) {
	const list = [];
	const peers = new Map();
	for (let i = events.length - 1; i >= 0 && list.length < limit; i -= 1) {
		const e = events[i];
		if (!withVotes && ['vote', 'vote_asked', 'term', 'role'].includes(e.kind)) continue;
		if (e.kind === 'peer') {
			const text = peerWords(e);
			const same = peers.get(text);
			if (same && Math.abs(same.at - e.at) < 5000) {
				if (!same.seenBy.includes(e.node)) same.seenBy.push(e.node);
				continue;
			}
			const row = { key: identity(e), at: e.at, level: e.granted ? 'ok' : 'bad', text, seenBy: [e.node] };
			peers.set(text, row);
			list.push(row);
			continue;
		}
		list.push({ key: identity(e), at: e.at, level: levelOf(e), text: (WORDS[e.kind] ?? fallback)(e), seenBy: [] });
	}
	return list;
}

function fallback(e) {
	return `node ${e.node}: ${e.kind}${because(e)}`;
}

function levelOf(e) {
	if (e.kind === 'alarm') return e.cleared ? 'ok' : 'bad';
	if (e.kind === 'stepped_down') return 'warn';
	return e.kind === 'elected' ? 'ok' : 'plain';
}

/** rowWords adds which nodes reported a row, and when. */
export function rowWords(row) {
	return row.seenBy.length ? `${row.text} (seen by ${names(row.seenBy.sort((a, b) => a - b))})` : row.text;
}

/** ago is how long ago an event was by this browser's clock, which is only approximately right. */
export function ago(at, now) {
	return now - at < 1000 ? 'just now' : `${span(now - at)} ago`;
}
