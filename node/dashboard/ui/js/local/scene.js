// What every story begins with.
import { count, names } from '../format.js';

/** upper makes a sentence of words. */
export const upper = (text) => text[0].toUpperCase() + text.slice(1);

/** before puts everything in order and notes who leads. */
export async function before(c, d) {
	await d.order();
	const state = await d.until((s) => d.even(s) && s, 'all nodes run, follow one leader and have all it has');
	c.leader = state.model.leaderID;
	c.term = state.model.term;
	c.others = d.ids().filter((id) => id !== c.leader);
}

/** leadsNow says who leads whom. */
export const leadsNow = (c) =>
	`Node ${c.leader} leads term ${count(c.term)}. Its heartbeats keep ${names(c.others)} quiet.`;
