/**
 * What `plinth doctor` finds: the one form in which every check, of the kernel, of a driver or of the gateway, says how it went.
 */

export type Status = Finding['status']

/** `check` is a stable name; `says` is one sentence with the values that were seen; `fix` is what to do about it. */
export type Finding =
  | { readonly check: string; readonly status: 'good' | 'skipped'; readonly says: string }
  | { readonly check: string; readonly status: 'bad' | 'unsure'; readonly says: string; readonly fix: string }

/** One thing to look at. It may find several, throw, or hang: whoever runs it puts an end to it after `limitMs`. */
export interface Probe {
  /** Under which its own failure is told. */
  readonly check: string
  readonly limitMs: number
  run(): Promise<readonly Finding[]>
}

export const good = (check: string, says: string): Finding => ({ check, status: 'good', says })
export const skipped = (check: string, says: string): Finding => ({ check, status: 'skipped', says })
export const bad = (check: string, says: string, fix: string): Finding => ({ check, status: 'bad', says, fix })
export const unsure = (check: string, says: string, fix: string): Finding => ({ check, status: 'unsure', says, fix })

/** Drivers say what is wrong, a colon, and what to do: it begins so. */
const REMEDY = /^(free|wire|plug|unplug|set|put|correct|install|look|release|restart|the user|root|a udev|is it|is the)\b/i

/** A driver's sentence as a bad finding; `otherwise` is the fix where the sentence names none. */
export function badlySaid(check: string, sentence: string, otherwise: string): Finding {
  const at = sentence.lastIndexOf(': ')
  const rest = sentence.slice(at + 2)
  return at > 0 && REMEDY.test(rest) ? bad(check, sentence.slice(0, at), rest) : bad(check, sentence, otherwise)
}

export const sentenceOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
