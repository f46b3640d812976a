/**
 * Signatures on what the two ends say: JWS compact (RFC 7515) with EdDSA (RFC 8037).
 * A message that does not open with a pinned key is nothing: it is counted and forgotten.
 */
import { CompactSign, type CryptoKey, compactVerify, exportJWK, generateKeyPair, importJWK } from 'jose'
import { z } from 'zod'
import { MESSAGE_BYTES_MAX } from './wire.js'

/** An Ed25519 key as JSON (RFC 8037 section 2); `d` is there in a private one only. `kid` names it in a seal's header. */
export const PublicKeyJson = z.strictObject({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  kid: z.string().min(1).max(64),
  x: z.base64url().length(43),
})
export type PublicKeyJson = z.infer<typeof PublicKeyJson>
export const PrivateKeyJson = PublicKeyJson.extend({ d: z.base64url().length(43) })
export type PrivateKeyJson = z.infer<typeof PrivateKeyJson>

export const publicPart = ({ kty, crv, kid, x }: PrivateKeyJson): PublicKeyJson => ({ kty, crv, kid, x })

export async function mintKey(kid: string): Promise<PrivateKeyJson> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  return PrivateKeyJson.parse({ kid, ...(await exportJWK(privateKey)) })
}

export type Seal = (message: unknown) => Promise<string>

export async function createSeal(key: PrivateKeyJson): Promise<Seal> {
  const signingKey = await importKey(key)
  return (message) =>
    new CompactSign(new TextEncoder().encode(JSON.stringify(message)))
      .setProtectedHeader({ alg: 'EdDSA', kid: key.kid })
      .sign(signingKey)
}

/** Why a received text was nothing. */
export type BrokenSeal = 'too large' | 'not signed by a known key' | 'not a message'

export type Opened<T> = { readonly message: T } | { readonly broken: BrokenSeal }
export type OpenSeal<T> = (bytes: Uint8Array) => Promise<Opened<T>>

/** Opens messages of one schema, sealed with any of the pinned keys (two during a rotation). */
export async function createOpener<T>(schema: z.ZodType<T>, pinned: readonly PublicKeyJson[]): Promise<OpenSeal<T>> {
  const keys = new Map<string, CryptoKey>()
  for (const key of pinned) {
    if (keys.has(key.kid)) throw new Error(`two pinned keys are called ${key.kid}`)
    keys.set(key.kid, await importKey(key))
  }

  return async (bytes) => {
    if (bytes.byteLength > MESSAGE_BYTES_MAX) return { broken: 'too large' }
    let payload: Uint8Array
    try {
      const verified = await compactVerify(bytes, ({ kid }) => {
        const key = keys.get(kid ?? '')
        if (key === undefined) throw new Error('unknown kid')
        return key
      }, { algorithms: ['EdDSA'] })
      payload = verified.payload
    } catch {
      // Whatever is wrong with a foreign text -- syntax, algorithm, key, signature -- it means the same: nothing.
      return { broken: 'not signed by a known key' }
    }
    return parseMessage(schema, payload)
  }
}

/** False when `x` is not the public half of `d`: nobody would believe what such a key signs. */
export async function isKeyPair(key: PrivateKeyJson): Promise<boolean> {
  try {
    const open = await createOpener(z.string(), [publicPart(key)])
    const seal = await createSeal(key)
    return 'message' in await open(new TextEncoder().encode(await seal('is it me?')))
  } catch {
    return false // Not a key at all.
  }
}

function parseMessage<T>(schema: z.ZodType<T>, payload: Uint8Array): Opened<T> {
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  } catch {
    return { broken: 'not a message' }
  }
  const parsed = schema.safeParse(json)
  return parsed.success ? { message: parsed.data } : { broken: 'not a message' }
}

async function importKey(key: PublicKeyJson | PrivateKeyJson): Promise<CryptoKey> {
  const imported = await importJWK(key, 'EdDSA')
  if (imported instanceof Uint8Array) throw new Error(`key ${key.kid} is not an Ed25519 key`)
  return imported
}
