/**
 * The calendar and the clock of the country a currency is spent in: a shop's day ends at its own midnight. Pure.
 * None of these countries changes its clock in summer.
 */

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** Hours ahead of UTC; THB is Thailand, SGD Singapore, MYR Malaysia. */
const UTC_OFFSET_HOURS: Readonly<Record<string, number>> = { THB: 7, SGD: 8, MYR: 8 }
/** Of a currency that is none of ours: where the payment API counts its own days. */
const OTHER_OFFSET_HOURS = 8

const offsetHours = (currency: string): number => UTC_OFFSET_HOURS[currency] ?? OTHER_OFFSET_HOURS

/** A calendar day, such as 2026-03-01, and its moments as milliseconds since 1970. */
export interface Day {
  readonly name: string
  readonly start: number
  /** The first moment of the next day. */
  readonly end: number
}

/** Which day is meant, in each currency's own calendar. */
export type DayIn = (currency: string) => Day

export const isDay = (text: string): boolean => {
  const midnight = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : NaN
  return !Number.isNaN(midnight) && new Date(midnight).toISOString().startsWith(text)
}

/** The day of this name, in each country's own time. */
export const theDay = (name: string): DayIn => (currency) => {
  const start = Date.parse(`${name}T00:00:00Z`) - offsetHours(currency) * HOUR_MS
  return { name, start, end: start + DAY_MS }
}

/** The last day that is over. */
export const yesterday = (now: number): DayIn => (currency) => theDay(wallText(now - DAY_MS, currency).slice(0, 10))(currency)

/** From the first moment that the day has anywhere to the last. */
export function widely(day: DayIn): { readonly start: number; readonly end: number } {
  const days = [...Object.keys(UTC_OFFSET_HOURS), ''].map(day)
  return { start: Math.min(...days.map(({ start }) => start)), end: Math.max(...days.map(({ end }) => end)) }
}

/** '2026-03-01 19:00:21', as a clock on the wall there shows it. */
export const wallText = (at: number, currency: string): string =>
  new Date(at + offsetHours(currency) * HOUR_MS).toISOString().slice(0, 19).replace('T', ' ')

/** '2026-03-01 12:00:21' */
export const utcText = (at: number): string => new Date(at).toISOString().slice(0, 19).replace('T', ' ')

/** '+07:00' */
export const offsetText = (currency: string): string => `+${String(offsetHours(currency)).padStart(2, '0')}:00`

/** '2026-03-01 19:00:21 (+07:00), 12:00:21 UTC': for the shop, and for who compares it with a log. */
export const bothText = (at: number, currency: string): string =>
  `${wallText(at, currency)} (${offsetText(currency)}), ${utcText(at).slice(11)} UTC`

/** '3 minutes', in the largest unit that has begun. */
export function ageText(ms: number): string {
  const units = [['day', DAY_MS], ['hour', HOUR_MS], ['minute', 60_000], ['second', 1_000]] as const
  for (const [unit, unitMs] of units) {
    const count = Math.floor(ms / unitMs)
    if (count > 0) return `${count} ${unit}${count === 1 ? '' : 's'}`
  }
  return 'a moment'
}
