// The failure scenarios, told step by step. A step says what is done, does it, waits for what really happens, and
// says what was measured.
import { count, millis, plural } from '../format.js';
import { electionWords } from '../history.js';
import { cutOff } from './partition.js';
import { before, leadsNow, upper } from './scene.js';

async function catchUp(c, d, id) {
	const start = performance.now();
	await d.until((s) => {
		const node = s.model?.nodes.find((n) => n.id === id);
		return node && !node.unreachable && node.role === 'FOLLOWER' && node.lag === 0 && node.match > 0;
	}, `node ${id} follows and has every entry`);
	const { leaderID, leader } = d.state().model;
	return { ms: performance.now() - start, leader: leaderID, last: leader.last };
}

const killTheLeader = [
	{
		title: 'Before',
		say: () => 'One node leads. As long as the others hear its heartbeats, nobody asks for votes.',
		run: async (c, d) => { await before(c, d); return leadsNow(c); },
	},
	{
		title: 'A write to remember',
		say: () => 'A value is written. It counts as written only when a majority has it on its disks.',
		async run(c, d) {
			c.value = `written in term ${c.term}`;
			const done = await d.write('story/leader', c.value);
			if (!done.ok) throw new Error(`The write was refused: ${done.message}`);
			c.index = done.index;
			return `Acknowledged in ${millis(done.ms)}, as entry ${count(done.index)} of term ${count(done.term)}.`;
		},
	},
	{
		title: 'The leader stops',
		say: (c) => `Node ${c.leader} is stopped, without a word to the others. At the same moment a client sends a write `
			+ `to another node.`,
		async run(c, d) {
			await d.chaos.stop(c.leader);
			c.stopped = performance.now();
			c.firstWrite = d.write('story/after', 'written after the failure', c.others[0]);
			return `Node ${c.leader} is stopped. No heartbeats now.`;
		},
	},
	{
		title: 'Silence, then an election',
		say: () => 'Each follower waits for a time drawn by lot. The first whose time runs out asks for votes. A majority '
			+ 'makes it the leader.',
		async run(c, d) {
			const won = await d.until((s) => d.elected(s, c.term), 'a new leader is elected');
			d.replay(won);
			c.newLeader = won.leader;
			c.newTerm = won.term;
			return `${upper(electionWords(won))}.`;
		},
	},
	{
		title: 'Writes go on',
		say: () => 'The client that wrote into the gap did not see an error: its node waited for the new leader.',
		async run(c) {
			const done = await c.firstWrite;
			if (!done.ok) throw new Error(`The write was not accepted: ${done.code}: ${done.message}`);
			return `Accepted ${millis(done.ms)} after the leader stopped, as entry ${count(done.index)} of term `
				+ `${count(done.term)}. That is the whole interruption.`;
		},
	},
	{
		title: 'Nothing is lost',
		say: () => 'Only a node that has every committed entry can win an election. So what was acknowledged is still '
			+ 'there.',
		async run(c, d) {
			const value = await d.read('story/leader', c.others[0], false);
			if (value !== c.value) throw new Error(`The value is ${JSON.stringify(value)}, it should be `
				+ `${JSON.stringify(c.value)}.`);
			return `story/leader still holds “${value}”, from entry ${count(c.index)}.`;
		},
	},
	{
		title: 'The old leader comes back',
		say: (c) => `Node ${c.leader} is started. It hears of the newer term, becomes a follower and takes what it missed.`,
		async run(c, d) {
			await d.chaos.start(c.leader);
			const done = await catchUp(c, d, c.leader);
			return `Node ${c.leader} follows node ${done.leader} and has all ${count(done.last)} entries, `
				+ `${millis(done.ms)} after its start.`;
		},
	},
];

const WRITES = 20;

const followerFailure = [
	{
		title: 'Before',
		say: () => 'Every entry goes to every follower. The leader notes for each how far its disk is: that is its match '
			+ 'index.',
		async run(c, d) {
			await before(c, d);
			const home = d.state().link.via;
			c.victim = [...c.others].reverse().find((id) => id !== home) ?? c.others[0];
			return leadsNow(c);
		},
	},
	{
		title: 'A follower stops',
		say: (c) => `Node ${c.victim} is stopped. The leader goes on: it needs a majority, not everybody.`,
		async run(c, d) {
			await d.chaos.stop(c.victim);
			await d.until((s) => s.model?.nodes.find((n) => n.id === c.victim)?.unreachable,
				`node ${c.victim} does not answer`);
			return `${d.state().model.health.reachable} of ${plural('voter',
				d.state().model.health.voters)} answer. ${d.state().model.health.quorum} are enough.`;
		},
	},
	{
		title: 'Writes go on',
		say: () => `${WRITES} values are written meanwhile, one after the other.`,
		async run(c, d) {
			const times = [];
			for (let i = 1; i <= WRITES; i += 1) {
				const done = await d.write('story/follower', i);
				if (!done.ok) throw new Error(`Write ${i} was refused: ${done.message}`);
				times.push(done.ms);
				c.lastIndex = done.index;
			}
			times.sort((a, b) => a - b);
			return `All ${WRITES} acknowledged, half of them within ${millis(times[WRITES / 2])}. The last is entry `
				+ `${count(c.lastIndex)}.`;
		},
	},
	{
		title: 'The gap',
		say: (c) => `Node ${c.victim} misses them. In the log the column of node ${c.victim} stays empty; nobody else is `
			+ `held up.`,
		async run(c, d) {
			const seen = await d.until((s) => s.model?.leader?.last >= c.lastIndex && s.model,
				'the leader shows the new entries');
			const match = seen.nodes.find((n) => n.id === c.victim)?.match;
			return match === null || match === undefined
				? `The leader is at entry ${count(seen.leader.last)}; of node ${c.victim} it knows nothing newer.`
				: `The leader is at entry ${count(seen.leader.last)}, node ${c.victim} at ${count(match)}: a lag of `
					+ `${count(seen.leader.last - match)}.`;
		},
	},
	{
		title: 'It catches up',
		say: (c) => `Node ${c.victim} is started. The leader tries its log backwards until both agree, then sends what is `
			+ `missing, many entries at a time.`,
		async run(c, d) {
			await d.chaos.start(c.victim);
			const done = await catchUp(c, d, c.victim);
			return `Node ${c.victim} has all ${count(done.last)} entries, ${millis(done.ms)} after its start.`;
		},
	},
	{
		title: 'No data lost',
		say: (c) => `Node ${c.victim} is asked for the value out of its own memory, without asking the leader.`,
		async run(c, d) {
			const value = await d.ask(() => d.read('story/follower', c.victim, true), (v) => v === WRITES,
				`node ${c.victim} has applied the last write`);
			return `Node ${c.victim} answers ${value}, the last of the ${WRITES} values. The leader never changed: node `
				+ `${d.state().model.leaderID}, term ${count(d.state().model.term)}.`;
		},
	},
];

/** scripts are the stories in their order; steps(variant) gives the steps. */
export const scripts = [
	{
		id: 'kill-the-leader',
		title: 'Kill the leader',
		about: 'The leader stops without a word. The others notice, elect another, and no acknowledged write is lost.',
		least: 3,
		plays: [{ variant: '', word: 'Play' }],
		steps: () => killTheLeader,
	},
	{
		id: 'follower-failure',
		title: 'Follower failure and catch-up',
		about: 'A follower stops and misses twenty writes. Nobody waits for it. When it is back, it catches up by itself.',
		least: 3,
		plays: [{ variant: '', word: 'Play' }],
		steps: () => followerFailure,
	},
	{
		id: 'cut-off-a-minority',
		title: 'Cut off a minority',
		about: 'The network splits. The larger side goes on, the smaller side refuses writes, and afterwards all agree.',
		least: 3,
		plays: [{ variant: 'with', word: 'Play with the leader cut off' },
			{ variant: 'without', word: 'Play with followers cut off' }],
		steps: cutOff,
	},
];
