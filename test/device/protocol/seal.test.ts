import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createOpener, createSeal, isKeyPair, mintKey, type OpenSeal, PrivateKeyJson, publicPart, PublicKeyJson } from '../../../device/protocol/seal.js'
import { MESSAGE_BYTES_MAX } from '../../../device/protocol/wire.js'

const Note = z.object({ says: z.string() })
type Note = z.infer<typeof Note>
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const base64url = (text: string | Uint8Array): string => Buffer.from(text).toString('base64url')
const meaning = (sealed: string): string => sealed.split('.').map((part) => Buffer.from(part, 'base64url').toString('hex')).join()
const UNKNOWN = { broken: 'not signed by a known key' }
const NO_MESSAGE = { broken: 'not a message' }

let key: PrivateKeyJson
let stranger: PrivateKeyJson
let open: OpenSeal<Note>
beforeAll(async () => {
  key = await mintKey('gateway-1')
  stranger = await mintKey('gateway-1') // The same name, another key.
  open = await createOpener(Note, [publicPart(key)])
})

/** Seals any bytes under any header, as somebody who holds the key could. */
function sealByHand(header: object, payload: Uint8Array, signer = key): string {
  const input = `${base64url(JSON.stringify(header))}.${base64url(payload)}`
  const signature = sign(null, Buffer.from(input), { key: { kty: signer.kty, crv: signer.crv, x: signer.x, d: signer.d }, format: 'jwk' })
  return `${input}.${base64url(signature)}`
}
const header = { alg: 'EdDSA', kid: 'gateway-1' }
const good = bytesOf(JSON.stringify({ says: 'paid' }))

describe('a sealed message', () => {
  test('opens with the pinned key', async () => {
    const seal = await createSeal(key)
    expect(await open(bytesOf(await seal({ says: 'paid' })))).toEqual({ message: { says: 'paid' } })
    expect(await open(bytesOf(sealByHand(header, good)))).toEqual({ message: { says: 'paid' } })
  })

  test('names its key, and nothing else, in its header', async () => {
    const [head = ''] = (await (await createSeal(key))({ says: 'paid' })).split('.')
    expect(JSON.parse(Buffer.from(head, 'base64url').toString())).toEqual(header)
  })

  test('is nothing when any one character of it is another', async () => {
    const sealed = await (await createSeal(key))({ says: 'paid' })
    await fc.assert(fc.asyncProperty(fc.nat(sealed.length - 1), fc.constantFrom(...'AZaz09-_.~ '), async (at, letter) => {
      if (sealed[at] === letter) return
      const bent = sealed.slice(0, at) + letter + sealed.slice(at + 1)
      // The last character of a part holds bits that mean nothing: another letter may be the same bytes.
      if (meaning(bent) === meaning(sealed)) return
      expect(await open(bytesOf(bent))).toEqual(UNKNOWN)
    }), { numRuns: 500 })
  })

  test('is nothing with a part of another message', async () => {
    const seal = await createSeal(key)
    const [head, , signature] = (await seal({ says: 'unpaid' })).split('.')
    expect(await open(bytesOf(`${head}.${base64url(good)}.${signature}`))).toEqual(UNKNOWN)
  })

  test('is nothing when another key signed it, under the pinned name or any other', async () => {
    expect(await open(bytesOf(await (await createSeal(stranger))({ says: 'paid' })))).toEqual(UNKNOWN)
    for (const kid of ['gateway-2', '', '__proto__', 'constructor']) expect(await open(bytesOf(sealByHand({ alg: 'EdDSA', kid }, good)))).toEqual(UNKNOWN)
    expect(await open(bytesOf(sealByHand({ alg: 'EdDSA' }, good)))).toEqual(UNKNOWN)
    expect(await open(bytesOf(sealByHand({ ...header, jwk: publicPart(stranger) }, good, stranger)))).toEqual(UNKNOWN)
  })

  test('is nothing without a signature, whatever it claims of it', async () => {
    for (const alg of ['none', 'None', 'NONE', 'EdDSA', '']) {
      const input = `${base64url(JSON.stringify({ ...header, alg }))}.${base64url(good)}`
      expect(await open(bytesOf(`${input}.`)), alg).toEqual(UNKNOWN)
      expect(await open(bytesOf(input)), alg).toEqual(UNKNOWN)
    }
  })

  test('is nothing when the public key is used as a password', async () => {
    for (const secret of [Buffer.from(key.x, 'base64url'), Buffer.from(key.x), Buffer.from(JSON.stringify(publicPart(key)))]) {
      const input = `${base64url(JSON.stringify({ ...header, alg: 'HS256' }))}.${base64url(good)}`
      expect(await open(bytesOf(`${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`))).toEqual(UNKNOWN)
    }
  })

  test('is nothing with another algorithm, even of a true key pair', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const input = `${base64url(JSON.stringify({ ...header, alg: 'ES256' }))}.${base64url(good)}`
    const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    expect(await open(bytesOf(`${input}.${base64url(signature)}`))).toEqual(UNKNOWN)
  })

  test('is nothing under another name of the right algorithm: there is one', async () => {
    for (const alg of ['Ed25519', 'eddsa', 'EDDSA']) expect(await open(bytesOf(sealByHand({ ...header, alg }, good))), alg).toEqual(UNKNOWN)
  })

  test('is nothing when it demands what we do not know', async () => {
    expect(await open(bytesOf(sealByHand({ ...header, crit: ['exp'], exp: 1 }, good)))).toEqual(UNKNOWN)
  })

  test('is too large by one byte over the bound, and is not even looked at', async () => {
    const spare = MESSAGE_BYTES_MAX - sealByHand(header, good).length
    const says = 'x'.repeat(Math.floor(spare * 3 / 4))
    const sealed = sealByHand(header, bytesOf(JSON.stringify({ says })))
    expect(sealed.length).toBeLessThanOrEqual(MESSAGE_BYTES_MAX)
    expect(sealed.length).toBeGreaterThan(MESSAGE_BYTES_MAX - 16)
    expect(await open(bytesOf(sealed))).toEqual({ message: { says } })
    expect(await open(new Uint8Array(MESSAGE_BYTES_MAX + 1))).toEqual({ broken: 'too large' })
    expect(await open(new Uint8Array(MESSAGE_BYTES_MAX))).toEqual(UNKNOWN)
  })

  test.each<[string, Uint8Array]>([
    ['not UTF-8', Uint8Array.of(0x22, 0xff, 0x22)], ['not JSON', bytesOf('paid')], ['nothing', new Uint8Array()], ['of another shape', bytesOf('{"said":"paid"}')],
    ['a list', bytesOf('[]')], ['null', bytesOf('null')], ['with a number for a text', bytesOf('{"says":1}')], ['two messages', bytesOf('{"says":"a"}{"says":"b"}')],
  ])('well signed and %s is no message', async (_, payload) => expect(await open(bytesOf(sealByHand(header, payload)))).toEqual(NO_MESSAGE))

  test('may be any bytes: nothing breaks, nothing opens', async () => {
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => { expect(await open(bytes)).toEqual(UNKNOWN) }), { numRuns: 500 })
    for (const text of ['', '.', '..', '...', 'a.b.c', '{}', `${base64url('{}')}..`, `${base64url('null')}.e30.`]) expect(await open(bytesOf(text))).toEqual(UNKNOWN)
  })
})

describe('a rotation of keys', () => {
  test('both keys open while both are pinned; the old one does not after', async () => {
    const next = await mintKey('gateway-2')
    const during = await createOpener(Note, [publicPart(key), publicPart(next)])
    const after = await createOpener(Note, [publicPart(next)])
    const old = bytesOf(await (await createSeal(key))({ says: 'old' })), fresh = bytesOf(await (await createSeal(next))({ says: 'new' }))
    expect(await during(old)).toEqual({ message: { says: 'old' } })
    expect(await during(fresh)).toEqual({ message: { says: 'new' } })
    expect(await after(old)).toEqual(UNKNOWN)
    expect(await after(fresh)).toEqual({ message: { says: 'new' } })
  })

  test('one key under the other\'s name opens nothing', async () => {
    const next = await mintKey('gateway-2')
    const during = await createOpener(Note, [publicPart(key), publicPart(next)])
    expect(await during(bytesOf(sealByHand({ ...header, kid: 'gateway-2' }, good)))).toEqual(UNKNOWN)
  })
})

describe('a key', () => {
  test('is minted private, and its public part carries no secret', async () => {
    const minted = await mintKey('t1')
    expect(PrivateKeyJson.safeParse(minted).success).toBe(true)
    expect(publicPart(minted)).toEqual({ kty: 'OKP', crv: 'Ed25519', kid: 't1', x: minted.x })
    expect(PublicKeyJson.safeParse(minted).success).toBe(false)
  })

  test('is a pair only with its own other half', async () => {
    const minted = await mintKey('t1'), other = await mintKey('t1')
    expect(await isKeyPair(minted)).toBe(true)
    expect(await isKeyPair({ ...minted, x: other.x })).toBe(false)
    expect(await isKeyPair({ ...minted, d: other.d })).toBe(false)
    expect(await isKeyPair({ ...minted, d: 'd'.repeat(43) })).toBe(false)
  })
})
