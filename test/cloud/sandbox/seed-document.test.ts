/** The sandbox's JSON against the two objects printed in the Order Code Payment page (seed-document.json). */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type Json, openShop } from './shop.js'

const seed: Json = JSON.parse(readFileSync(new URL('seed-document.json', import.meta.url), 'utf8'))

/** Every key at every depth in its order, with the type of what it holds. */
function shape(value: unknown, path = ''): string[] {
  if (value === null) return [`${path} null`]
  if (Array.isArray(value)) return [`${path} list of ${value.length}`, ...value.flatMap((item) => shape(item, `${path}[]`))]
  if (typeof value === 'object') return [`${path} object`, ...Object.entries(value).flatMap(([key, item]) => shape(item, `${path}.${key}`))]
  return [`${path} ${typeof value}`]
}

const ID = /^(src|chrg|docu)_test_[0-9a-z]{19}$/
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/
const isOwn = (value: unknown): boolean =>
  typeof value === 'string' && (/_test_/.test(value) || MOMENT.test(value))

/** Ids, paths and moments differ from run to run; everything else must be the very value. */
const fixed = (value: Json): Json => JSON.parse(JSON.stringify(value), (_key, item: unknown) => (isOwn(item) ? 'differs' : item))

const seedSeconds = (object: Json) => Date.parse(object.expires_at) - Date.parse(object.created_at)

describe('the page\'s example of THB 1,500', () => {
  const ask = async () => {
    const shop = await openShop({ switches: { rawData: false } }, Date.parse('2023-09-20T09:37:06.724Z'))
    const source = await shop.ask('POST', '/sources', { key: 'pkey_test_sandbox', form: 'amount=150000&currency=THB&type=alipayplus_mpm' })
    const charge = await shop.ask('POST', '/charges', { form: `amount=150000&currency=THB&source=${source.json.id}` })
    return { shop, source, charge }
  }

  it('gives a source with exactly the page\'s fields, in its order, with its types and values', async () => {
    const { source } = await ask()
    expect(shape(source.json)).toEqual(shape(seed.source))
    expect(fixed(source.json)).toEqual(fixed(seed.source))
    expect(source.json.id).toMatch(ID)
    expect(source.json.location).toBe(`/sources/${source.json.id}`)
  })

  it('gives a charge with exactly the page\'s fields, order, types, flags and amounts', async () => {
    const { charge } = await ask()
    expect(shape(charge.json)).toEqual(shape(seed.charge))
    expect(fixed(charge.json)).toEqual(fixed(seed.charge))
    expect(charge.json).toMatchObject({ amount: 150_000, fee: 2_475, fee_vat: 173, net: 147_352, status: 'pending' })
  })

  it('gives the same charge when source and charge come in one request, as a form and as JSON', async () => {
    const { shop, charge } = await ask()
    const form = await shop.ask('POST', '/charges', { form: 'amount=150000&currency=THB&source[type]=alipayplus_mpm' })
    const json = await shop.ask('POST', '/charges', { json: { amount: 150_000, currency: 'THB', source: { type: 'alipayplus_mpm' } } })
    for (const one of [form, json]) {
      expect(shape(one.json)).toEqual(shape(charge.json))
      expect(fixed(one.json)).toEqual(fixed(charge.json))
    }
  })

  it('lets the charge live exactly as long as the page\'s does', async () => {
    const { charge } = await ask()
    expect(seedSeconds(charge.json)).toBe(seedSeconds(seed.charge))
    expect(charge.json.created_at).toBe('2023-09-20T09:37:06Z')
  })

  it('mints ids of the page\'s very moment that begin as the page\'s do', async () => {
    const { charge } = await ask()
    expect(charge.json.id.slice(0, 18)).toBe(seed.charge.id.slice(0, 18)) // its 8 characters of time
    expect(charge.json.source.scannable_code.image.download_uri).toMatch(/\/charges\/chrg_test_\w{19}\/documents\/docu_test_\w{19}\/downloads\/[0-9A-F]{16}$/)
  })

  it('prints as Omise prints: two spaces, a blank line in an empty list, a newline at the end', async () => {
    const { charge, shop } = await ask()
    expect(charge.text.startsWith('{\n  "object": "charge",\n  "id": ')).toBe(true)
    expect(charge.text).toContain('\n    "items": [\n\n    ],\n')
    expect(charge.text).toContain('\n  "metadata": {\n  },\n')
    expect(charge.text.endsWith('\n}\n')).toBe(true)
    expect(charge.headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(charge.headers.get('omise-version')).toBe('2019-05-29')
    expect(charge.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
    const failed = await shop.ask('POST', '/charges', { form: 'amount=1' })
    expect(failed.headers.get('omise-version')).toBeNull()
  })

  it('adds the fields of 2025 when told to, and nothing else', async () => {
    const shop = await openShop({ switches: { rawData: false, objectFields: '2025' } })
    const charge = await shop.newCharge('amount=150000&currency=THB&source[type]=alipayplus_mpm')
    const known = new Set(shape(seed.charge).map((line) => line.split(' ')[0]))
    const added = shape(charge).map((line) => line.split(' ')[0]).filter((path) => !known.has(path))
    expect(added).toEqual(['.acquirer_reference_number', '.source.qr_settings', '.source.promotion_code', '.linked_account', '.merchant_advice',
      '.merchant_advice_code', '.authorized_at', '.multi_capture', '.partially_refundable', '.can_perform_void', '.approval_code'])
  })
})
