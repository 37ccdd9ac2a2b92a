// The first step of every scenario.
import { count, names } from '../format.js';

/** upper capitalizes a sentence. */
export const upper = (text) => text[0].toUpperCase() + text.slice(1);

/** before restores the cluster and records the leader. */
export async function before(c, d) {
	await d.order();
	const state = await d.until((s) => d.even(s) && s, 'all nodes run, follow one leader and have all its entries');
	c.leader = state.model.leaderID;
	c.term = state.model.term;
	c.others = d.ids().filter((id) => id !== c.leader);
}

/** leadsNow describes the leader and its followers. */
export const leadsNow = (c) =>
	`Node ${c.leader} leads term ${count(c.term)}. Its heartbeats keep ${names(c.others)} from starting elections.`;
