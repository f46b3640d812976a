/**
 * A seal that is quick and takes no time of its own: the sealer's name before the message. The real one goes through a
 * thread pool, so its order is not repeatable; that it cannot be forged is shown elsewhere (test/device/protocol, test/security).
 * The messages are the real ones, and go through the real schemas.
 */
import type { z } from 'zod'
import type { OpenSeal, PublicKeyJson, Seal } from '../../device/protocol/seal.js'

export const sealOf = (name: string): Seal => (message) => Promise.resolve(`${name}\n${JSON.stringify(message)}`)

export function openerOf<T>(schema: z.ZodType<T>, names: readonly string[]): OpenSeal<T> {
  return (bytes) => {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
    const end = text.indexOf('\n')
    if (!names.includes(text.slice(0, end))) return Promise.resolve({ broken: 'not signed by a known key' })
    const parsed = schema.safeParse(JSON.parse(text.slice(end + 1)))
    return Promise.resolve(parsed.success ? { message: parsed.data } : { broken: 'not a message' })
  }
}

/** The message inside, for whoever sees everything. */
export const unsealed = (sealed: string): unknown => JSON.parse(sealed.slice(sealed.indexOf('\n') + 1))

/** A key that says whose it is. */
export const keyOf = (name: string): PublicKeyJson => ({ kty: 'OKP', crv: 'Ed25519', kid: name, x: name.padEnd(43, '_') })
export const nameOf = ({ kid }: PublicKeyJson): string => kid
