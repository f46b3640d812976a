/**
 * Ids like Omise's: prefix, mode and 19 characters of base 36. Pure; the random bits come in.
 * Published ids count milliseconds since 1970 in their upper part, with 55 bits below: read so, every sample id of the
 * Order Code Payment page falls into the second of its own created_at. So ours sort by time too.
 */

export type IdPrefix = 'src' | 'chrg' | 'docu' | 'evnt' | 'whdl' | 'rfnd' | 'trxn'

const RANDOM_BITS = 55n

/** `random` is at least 7 random bytes; `atMs` 1972 or later, so that the number has its 19 characters. */
export function objectId(prefix: IdPrefix, atMs: number, random: Uint8Array): string {
  let low = 0n
  for (const byte of random.subarray(0, 7)) low = (low << 8n) | BigInt(byte)
  const number = (BigInt(Math.trunc(atMs)) << RANDOM_BITS) | BigInt.asUintN(Number(RANDOM_BITS), low)
  return `${prefix}_test_${number.toString(36).padStart(19, '0')}`
}
