/**
 * One contact that bounces -> one change. Pure: samples and their times in, the settled contact out. Shared by the keys of
 * a matrix and by product buttons; how far apart the samples are is their business.
 */

/** What is believed of a contact. */
export interface Contact {
  readonly down: boolean
  /** How many samples in a row spoke against it, 0..SAMPLES - 1. */
  readonly against: number
  /** When it became so, in milliseconds. */
  readonly since: number
}

/** A contact changes once this many samples in a row say so. */
export const SAMPLES = 4

/** Nobody holds a key for that long: it is jammed, or shorted. */
export const STUCK_MS = 30_000

export const settled = (down: boolean, now: number): Contact => ({ down, against: 0, since: now })

export function debounce(contact: Contact, closed: boolean, now: number): Contact {
  if (closed === contact.down) return contact.against === 0 ? contact : { ...contact, against: 0 }
  const against = contact.against + 1
  return against < SAMPLES ? { ...contact, against } : settled(closed, now)
}

export const isStuck = ({ down, since }: Contact, now: number): boolean => down && now - since >= STUCK_MS
