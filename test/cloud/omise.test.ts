import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { freePorts } from '../../scripts/workbench.js'
import { afterEach, describe, expect, test } from 'vitest'
import { createOmise, type Omise, type OmiseOptions } from '../../cloud/omise.js'
import { createSandbox } from '../../cloud/sandbox/sandbox.js'

const KEY = 'skey_test_5x6canaryneverseen01'
const KEY_IN_BASE64 = Buffer.from(`${KEY}:`).toString('base64')
const CHARGE = 'chrg_test_5x6636kemfhdaxmrodv'
const DOWNLOAD = `/charges/${CHARGE}/documents/docu_test_5x6636lsfxzk8r0fjd6/downloads/76670AB40294D368`

// The parts of the documentation's example that we read, and some that we do not.
const sourceJson = (scannable: object | null = null) => ({
  object: 'source', id: 'src_test_5x663683rhm8kyqfzgr', livemode: false, location: '/sources/src_test_5x663683rhm8kyqfzgr',
  amount: 150000, currency: 'THB', flow: 'offline', type: 'alipayplus_mpm', charge_status: 'pending', scannable_code: scannable,
  discounts: [], platform_type: null,
})
const chargeJson = (changed: object = {}) => ({
  object: 'charge', id: CHARGE, location: `/charges/${CHARGE}`, amount: 150000, net: 147352, fee: 2475, fee_vat: 173,
  refunded_amount: 0, currency: 'THB', metadata: { sale: '019c9e60-0000-7000-8000-000000000000' }, card: null,
  source: sourceJson({
    object: 'barcode', type: 'qr',
    image: { object: 'document', id: 'docu_test_5x6636lsfxzk8r0fjd6', download_uri: `https://api.omise.co${DOWNLOAD}` },
  }),
  failure_code: null, failure_message: null, status: 'pending', created_at: '2023-09-20T09:37:06Z', paid_at: null,
  expires_at: '2023-09-21T09:37:06Z', livemode: false, voided: false, paid: false, expired: false, ...changed,
})
const refundJson = (changed: object = {}) => ({
  object: 'refund', id: 'rfnd_test_5x6a', livemode: false, voided: true, currency: 'THB', amount: 150000, metadata: { reason: 'late' },
  charge: CHARGE, status: 'closed', created_at: '2023-09-20T09:40:00Z', ...changed,
})
const eventJson = (data: object) => ({
  object: 'event', id: 'evnt_test_5x6b', livemode: false, key: 'charge.complete', created_at: '2023-09-20T09:38:00Z', data,
  webhook_deliveries: [],
})
const listJson = (data: readonly unknown[]) => ({ object: 'list', data, limit: 100, offset: 0, total: data.length, order: 'chronological' })
const errorJson = (code: string, message: string) => ({ object: 'error', location: 'https://www.omise.co/api-errors', code, message })

interface Asked {
  readonly line: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

type Reply = (response: ServerResponse, asked: Asked) => void

const json = (status: number, body: unknown): Reply => (response) => {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'x-request-id': 'b2a0-request' })
  response.end(`${JSON.stringify(body, null, 2)}\n`)
}
const bytes = (status: number, type: string, body: string | Buffer): Reply => (response) => {
  response.writeHead(status, { 'content-type': type }).end(body)
}
const redirect = (location: string): Reply => (response) => { response.writeHead(302, { location }).end() }
const silence: Reply = () => undefined
const hangUp: Reply = (response) => { response.destroy() }

const closers: (() => void)[] = []
afterEach(() => { for (const close of closers.splice(0)) close() })

/** Answers each request with the next reply, and the last one for ever. */
async function api(...replies: readonly Reply[]) {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      const { method, url, headers } = request
      const one = { line: `${method} ${url}`, headers, body: Buffer.concat(chunks).toString() }
      asked.push(one)
      replies[Math.min(asked.length, replies.length) - 1]?.(response, one)
    })
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  closers.push(() => { server.closeAllConnections(); server.close() })
  // A TCP address: it listens on one.
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, host: `127.0.0.1:${port}`, asked }
}

function client(apiUrl: string, options: Partial<OmiseOptions> = {}) {
  const lines: string[] = []
  const pauses: number[] = []
  const log = pino({ level: 'trace' }, { write: (line: string) => { lines.push(line) } })
  const sleep = (ms: number) => Promise.resolve(pauses.push(ms))
  return { omise: createOmise({ apiUrl, secretKey: KEY, log, sleep, ...options }), lines, pauses }
}

async function clientOf(...replies: readonly Reply[]) {
  const server = await api(...replies)
  return { ...client(server.url), ...server }
}

describe('what is asked', () => {
  const terms = { amountMinor: 150000, currency: 'THB', metadata: { sale: 's1' } }
  const writes: Readonly<Record<string, readonly [(omise: Omise) => Promise<unknown>, string, unknown, unknown]>> = {
    'a source': [(omise) => omise.createSource({ amountMinor: 150000, currency: 'THB', method: 'alipayplus_mpm' }),
      'POST /sources', { amount: 150000, currency: 'THB', type: 'alipayplus_mpm' }, sourceJson()],
    'a charge from a source': [(omise) => omise.chargeSource({ ...terms, source: 'src_test_1' }),
      'POST /charges', { amount: 150000, currency: 'THB', metadata: { sale: 's1' }, source: 'src_test_1' }, chargeJson()],
    'source and charge in one request': [(omise) => omise.chargeNewSource({
      ...terms, method: 'alipayplus_mpm', expiresAt: '2023-09-20T09:39:06Z', description: 'A coffee', webhookEndpoints: ['https://shop.example/hook'],
    }), 'POST /charges', {
      amount: 150000, currency: 'THB', metadata: { sale: 's1' }, source: { type: 'alipayplus_mpm' },
      expires_at: '2023-09-20T09:39:06Z', description: 'A coffee', webhook_endpoints: ['https://shop.example/hook'],
    }, chargeJson()],
    'an end of a charge': [(omise) => omise.expireCharge(CHARGE), `POST /charges/${CHARGE}/expire`, {}, chargeJson({ status: 'expired' })],
    'a refund': [(omise) => omise.refundCharge(CHARGE, { amountMinor: 150000, metadata: { reversal: 'r1' } }),
      `POST /charges/${CHARGE}/refunds`, { amount: 150000, metadata: { reversal: 'r1' } }, refundJson()],
    'a void and nothing else': [(omise) => omise.refundCharge(CHARGE, { amountMinor: 1, metadata: {}, void: true }),
      `POST /charges/${CHARGE}/refunds`, { amount: 1, metadata: {}, void: true }, refundJson()],
  }
  for (const [what, [write, line, body, reply]] of Object.entries(writes)) {
    test(what, async () => {
      const { omise, asked } = await clientOf(json(200, reply))
      expect(await write(omise)).toMatchObject({ answer: 'ok' })
      expect(asked).toHaveLength(1)
      expect(asked[0]).toMatchObject({
        line, headers: { authorization: `Basic ${KEY_IN_BASE64}`, 'omise-version': '2019-05-29', 'content-type': 'application/json' },
      })
      expect(JSON.parse(asked[0]?.body ?? '')).toEqual(body)
    })
  }

  const reads: Readonly<Record<string, readonly [(omise: Omise) => Promise<unknown>, string, unknown]>> = {
    'a charge': [(omise) => omise.retrieveCharge(CHARGE), `GET /charges/${CHARGE}`, chargeJson()],
    'charges from a moment on': [(omise) => omise.listCharges({ from: '2023-09-20T09:00:00Z', limit: 500, order: 'reverse_chronological' }),
      'GET /charges?from=2023-09-20T09%3A00%3A00Z&limit=100&order=reverse_chronological', listJson([])],
    'refunds of a charge': [(omise) => omise.listRefunds(CHARGE), `GET /charges/${CHARGE}/refunds`, listJson([refundJson()])],
    'events': [(omise) => omise.listEvents({ from: '2023-09-20T09:00:00Z', to: '2023-09-21T09:00:00Z', offset: 100 }),
      'GET /events?from=2023-09-20T09%3A00%3A00Z&to=2023-09-21T09%3A00%3A00Z&offset=100', listJson([])],
    'events of a charge': [(omise) => omise.chargeEvents(CHARGE, { limit: 20 }), `GET /charges/${CHARGE}/events?limit=20`, listJson([])],
    'what the account can do': [(omise) => omise.capability(), 'GET /capability', { object: 'capability', payment_methods: [] }],
  }
  for (const [what, [read, line, reply]] of Object.entries(reads)) {
    test(what, async () => {
      const { omise, asked } = await clientOf(json(200, reply))
      expect(await read(omise)).toMatchObject({ answer: 'ok' })
      expect(asked).toMatchObject([{ line, body: '', headers: { authorization: `Basic ${KEY_IN_BASE64}`, 'omise-version': '2019-05-29' } }])
    })
  }

  test('what the account can do is asked with the public key, when there is one', async () => {
    const { url, asked } = await api(json(200, { object: 'capability', payment_methods: [] }))
    await client(url, { publicKey: 'pkey_test_1' }).omise.capability()
    expect(asked[0]?.headers.authorization).toBe(`Basic ${Buffer.from('pkey_test_1:').toString('base64')}`)
  })

  for (const text of ['../account', 'chrg_test_1/../../account', '.', '', 'src_test_1', 'chrg_test_1?x', `chrg_${'a'.repeat(99)}`]) {
    test(`'${text.slice(0, 30)}' is no charge, and is not asked for`, async () => {
      const { omise, asked } = await clientOf(json(200, chargeJson()))
      const refused = { answer: 'refused', status: 404, code: 'not_found' }
      expect(await omise.retrieveCharge(text)).toMatchObject(refused)
      expect(await omise.expireCharge(text)).toMatchObject(refused)
      expect(await omise.refundCharge(text, { amountMinor: 1, metadata: {} })).toMatchObject(refused)
      expect(asked).toEqual([])
    })
  }
})

describe('what is read', () => {
  test('the documentation\'s charge, to the last satang', async () => {
    const { omise } = await clientOf(json(200, chargeJson()))
    expect(await omise.retrieveCharge(CHARGE)).toEqual({
      answer: 'ok',
      value: {
        id: CHARGE, amountMinor: 150000, currency: 'THB', status: 'pending', paid: false, livemode: false,
        expiresAt: '2023-09-21T09:37:06.000Z', paidAt: undefined, createdAt: '2023-09-20T09:37:06.000Z',
        failureCode: undefined, failureMessage: undefined, metadata: { sale: '019c9e60-0000-7000-8000-000000000000' },
        code: { downloadUri: `https://api.omise.co${DOWNLOAD}` }, feeMinor: 2475, feeVatMinor: 173, netMinor: 147352,
        refundedMinor: 0, voided: false, method: 'alipayplus_mpm', source: 'src_test_5x663683rhm8kyqfzgr',
      },
    })
  })

  const changes: Readonly<Record<string, readonly [object, object]>> = {
    'a currency in small letters': [{ currency: 'thb' }, { currency: 'THB' }],
    'a status nobody knows yet': [{ status: 'sleeping' }, { status: 'sleeping' }],
    'a failure': [{ status: 'failed', failure_code: 'a_new_code', failure_message: 'No.' }, { failureCode: 'a_new_code', failureMessage: 'No.' }],
    'metadata that is null': [{ metadata: null }, { metadata: {} }],
    'a card, which has neither source nor expiry': [{ source: null, expires_at: null },
      { method: undefined, code: undefined, expiresAt: undefined }],
    'a code that says its text': [{ source: sourceJson({ object: 'barcode', type: 'qr', raw_data: 'https://qr.example/1', image: null }) },
      { code: { payload: 'https://qr.example/1' } }],
    'no code yet': [{ source: sourceJson() }, { code: undefined }],
    'a moment with an offset': [{ paid_at: '2023-09-20T16:40:00+07:00', paid: true }, { paidAt: '2023-09-20T09:40:00.000Z' }],
    'a void': [{ voided: true, refunded_amount: 150000 }, { voided: true, refundedMinor: 150000 }],
  }
  for (const [what, [changed, value]] of Object.entries(changes)) {
    test(`a charge with ${what}`, async () => {
      const { omise } = await clientOf(json(200, chargeJson(changed)))
      expect(await omise.retrieveCharge(CHARGE)).toMatchObject({ answer: 'ok', value })
    })
  }

  const wrongs: Readonly<Record<string, object>> = {
    'an amount in words': { amount: '150000' }, 'an amount with a fraction': { amount: 1500.5 }, 'no amount': { amount: undefined },
    'no status': { status: undefined }, 'paid in words': { paid: 'true' }, 'no expiry at all': { expires_at: undefined },
    'an expiry that is no moment': { expires_at: 'tomorrow' }, 'a currency of four letters': { currency: 'THBX' },
    'the other mode': { livemode: true }, 'another id than was asked for': { id: 'chrg_test_other' }, 'metadata that is a text': { metadata: 's1' },
    'another kind of object': { object: 'source' }, 'a code without a place': { source: sourceJson({ image: { download_uri: 5 } }) },
  }
  for (const [what, changed] of Object.entries(wrongs)) {
    test(`a charge with ${what} is no answer`, async () => {
      const { omise } = await clientOf(json(200, chargeJson(changed)))
      expect(await omise.retrieveCharge(CHARGE)).toMatchObject({ answer: 'none', because: 'unreadable answer' })
    })
  }

  test('a list says how many of its items nobody could read, and gives the others', async () => {
    const { omise } = await clientOf(json(200, listJson([chargeJson(), { object: 'charge' }, chargeJson({ livemode: true })])))
    const answer = await omise.listCharges({ from: '2023-09-20T00:00:00Z' })
    expect(answer).toMatchObject({ answer: 'ok', value: { items: [{ id: CHARGE }], unreadable: 2, total: 3, limit: 100, offset: 0 } })
  })

  test('a refund says whether it was a void', async () => {
    const { omise } = await clientOf(json(200, refundJson({ voided: false, metadata: null })))
    expect(await omise.refundCharge(CHARGE, { amountMinor: 150000, metadata: {} })).toEqual({
      answer: 'ok',
      value: {
        id: 'rfnd_test_5x6a', charge: CHARGE, amountMinor: 150000, currency: 'THB', livemode: false, voided: false, metadata: {},
        createdAt: '2023-09-20T09:40:00.000Z',
      },
    })
  })

  test('an event leads to its charge, also by way of a refund', async () => {
    const { omise } = await clientOf(json(200, listJson([
      eventJson(chargeJson()), eventJson(refundJson()), eventJson({ object: 'transfer', id: 'trsf_test_1' }),
    ])))
    expect(await omise.listEvents({ from: '2023-09-20T00:00:00Z' })).toMatchObject({
      value: { items: [{ objectKind: 'charge', charge: CHARGE }, { objectKind: 'refund', charge: CHARGE }, { charge: undefined }], unreadable: 0 },
    })
  })

  test('the account\'s methods and their currencies', async () => {
    const { omise } = await clientOf(json(200, {
      object: 'capability', country: 'TH', limits: {}, payment_methods: [{ object: 'payment_method', name: 'alipayplus_mpm', currencies: ['thb'] }, { name: 'card' }],
    }))
    expect(await omise.capability()).toEqual({
      answer: 'ok', value: { country: 'TH', methods: [{ name: 'alipayplus_mpm', currencies: ['THB'] }, { name: 'card', currencies: [] }] },
    })
  })
})

describe('what may happen on the way', () => {
  const none = (because: string) => ({ answer: 'none', because })
  const refused = (status: number, code: string) => ({ answer: 'refused', status, code })
  const outcomes: Readonly<Record<string, readonly [Reply, object]>> = {
    'a refusal': [json(400, errorJson('failed_expire', 'expire failed')), { ...refused(400, 'failed_expire'), message: 'expire failed' }],
    'a wrong key': [json(401, errorJson('authentication_failure', 'authentication failed')), refused(401, 'authentication_failure')],
    'a missing permission': [json(403, errorJson('forbidden', 'no')), refused(403, 'forbidden')],
    'an unknown charge': [json(404, errorJson('not_found', 'charge was not found')), refused(404, 'not_found')],
    'a refusal without words': [json(422, { object: 'error', code: 'bad_request', message: null }), refused(422, 'bad_request')],
    'too many requests, with the API\'s error': [json(429, errorJson('too_many_requests', 'slow down')), none('rate limited')],
    'too many requests, from a proxy': [bytes(429, 'text/html', '<html>'), none('rate limited')],
    'an error of the server, with the API\'s error': [json(500, errorJson('internal_error', 'oops')), none('server error')],
    'a bad gateway in HTML': [bytes(502, 'text/html', '<html>502</html>'), none('server error')],
    'an unavailable service': [json(503, { message: 'maintenance' }), none('server error')],
    'a refusal in HTML': [bytes(403, 'text/html', '<html>blocked</html>'), none('unreadable answer')],
    'a refusal in someone else\'s JSON': [json(400, { error: 'bad' }), none('unreadable answer')],
    'success in HTML': [bytes(200, 'text/html', '<html>log in to this network</html>'), none('unreadable answer')],
    'success as a JSON text in HTML clothes': [bytes(200, 'text/html', JSON.stringify(chargeJson())), none('unreadable answer')],
    'success with an error inside': [json(200, errorJson('not_found', 'x')), none('unreadable answer')],
    'success with nothing inside': [bytes(200, 'application/json', ''), none('unreadable answer')],
    'no content': [(response) => { response.writeHead(204).end() }, none('unreadable answer')],
    'JSON that breaks off': [bytes(200, 'application/json', JSON.stringify(chargeJson()).slice(0, 400)), none('unreadable answer')],
    'an answer that never ends': [(response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const more = (): void => { if (response.writable) response.write(' '.repeat(65_536), more) }
      more()
    }, none('unreadable answer')],
    'a way elsewhere, with the API\'s error': [json(302, errorJson('moved', 'over there')), none('unreadable answer')],
    'a way elsewhere': [redirect('http://127.0.0.1:1/charges'), none('unreadable answer')],
    'a body cut off': [(response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '5000' })
      response.write('{"object":"charge"', () => { response.destroy() })
    }, none('network')],
    'a connection that is closed at once': [hangUp, none('network')],
  }
  for (const [what, [reply, outcome]] of Object.entries(outcomes)) {
    test(`${what}: a write is sent once and says so`, async () => {
      const { omise, asked } = await clientOf(reply)
      expect(await omise.expireCharge(CHARGE)).toMatchObject(outcome)
      expect(asked).toHaveLength(1)
    })
  }

  test('nobody answers: a write gives up after its time, and is not sent again', async () => {
    const { url, asked } = await api(silence)
    const { omise } = client(url, { timeoutMs: 150 })
    expect(await omise.expireCharge(CHARGE)).toMatchObject({ answer: 'none', because: 'timeout', text: 'no answer within 150 ms' })
    expect(asked).toHaveLength(1)
  })

  test('an answer that drips is given up too', async () => {
    const { url } = await api((response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      const drip = setInterval(() => { response.write(' ') }, 20)
      response.on('close', () => { clearInterval(drip) })
    })
    expect(await client(url, { timeoutMs: 200 }).omise.expireCharge(CHARGE)).toMatchObject({ because: 'timeout' })
  })

  test('nobody is there', async () => {
    const [port] = await freePorts(1)
    const { omise } = client(`http://127.0.0.1:${port}`)
    expect(await omise.expireCharge(CHARGE)).toMatchObject({ answer: 'none', because: 'unreachable' })
    expect(await omise.reachable()).toBe(false)
  })

  test('a read is tried again, with a pause, until somebody answers', async () => {
    const { omise, asked, pauses } = await clientOf(hangUp, bytes(502, 'text/html', ''), json(200, chargeJson()))
    expect(await omise.retrieveCharge(CHARGE)).toMatchObject({ answer: 'ok', value: { id: CHARGE } })
    expect(asked).toHaveLength(3)
    expect(pauses).toEqual([200, 400])
  })

  test('a read is tried three times and no more', async () => {
    const { omise, asked } = await clientOf(bytes(502, 'text/html', ''))
    expect(await omise.listCharges({ from: '2023-09-20T00:00:00Z' })).toMatchObject({ because: 'server error' })
    expect(asked).toHaveLength(3)
  })

  test('a read is not tried again when there were too many, or when it was refused', async () => {
    const { omise, asked } = await clientOf(json(429, {}), json(404, errorJson('not_found', 'no')))
    expect(await omise.retrieveCharge(CHARGE)).toMatchObject({ because: 'rate limited' })
    expect(await omise.retrieveCharge(CHARGE)).toMatchObject({ code: 'not_found' })
    expect(asked).toHaveLength(2)
  })
})

describe('the document of a code', () => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg"/>'

  test('is fetched without the key', async () => {
    const { omise, asked, url } = await clientOf(bytes(200, 'image/svg+xml', svg))
    expect(await omise.downloadCode(`${url}${DOWNLOAD}`)).toEqual({ answer: 'ok', value: new TextEncoder().encode(svg) })
    expect(asked[0]).toMatchObject({ line: `GET ${DOWNLOAD}` })
    expect(asked[0]?.headers).not.toHaveProperty('authorization')
  })

  test('may be moved, three times, within what is allowed', async () => {
    const { omise, url } = await clientOf(redirect('/charges/a'), redirect('/charges/b'), redirect('/charges/c'), bytes(200, 'x/y', svg))
    expect(await omise.downloadCode(`${url}${DOWNLOAD}`)).toMatchObject({ answer: 'ok' })
  })

  test('may not be moved a fourth time', async () => {
    const { omise, url, asked } = await clientOf(redirect('/charges/a'))
    expect(await omise.downloadCode(`${url}${DOWNLOAD}`)).toMatchObject({ answer: 'refused', code: 'too_many_redirects' })
    expect(asked).toHaveLength(4)
  })

  test('may be stored on another host, when that is listed', async () => {
    const store = await api(bytes(200, 'image/png', 'png'))
    const { url } = await api(redirect(`${store.url}/charges/stored`))
    const listed = client(url, { documentHosts: [store.host] })
    expect(await listed.omise.downloadCode(`${url}${DOWNLOAD}`)).toMatchObject({ answer: 'ok' })
    expect(store.asked[0]?.headers).not.toHaveProperty('authorization')
    expect(await client(url).omise.downloadCode(`${url}${DOWNLOAD}`)).toMatchObject({ answer: 'refused', code: 'foreign_address' })
    expect(store.asked).toHaveLength(1)
  })

  const foreign = (host: string): Readonly<Record<string, string>> => ({
    'another host': 'http://169.254.169.254/charges/x',
    'another host with ours in its path': `http://127.0.0.1:1/charges/${host}/x`,
    'another port': 'http://127.0.0.1:1/charges/x',
    'another scheme': `https://${host}/charges/x`,
    'a file': 'file:///charges/x',
    'data': 'data:image/svg+xml,<svg/>',
    'another path': `http://${host}/account`,
    'a path that climbs out': `http://${host}/charges/../account`,
    'a path that climbs out in disguise': `http://${host}/charges/%2e%2e/account`,
    'a name and a password': `http://a:b@${host}/charges/x`,
    'the host as a name only': `http://${host}@127.0.0.1:1/charges/x`,
    'no address at all': 'qrcode.svg',
  })
  for (const what of Object.keys(foreign(''))) {
    test(`is not fetched from ${what}, neither at once nor by a redirect`, async () => {
      const { omise, url, host, asked } = await clientOf((response, asked) => { redirect(foreign(asked.headers.host ?? '')[what] ?? '')(response, asked) })
      const address = foreign(host)[what] ?? ''
      expect(await omise.downloadCode(address)).toMatchObject({ answer: 'refused', code: 'foreign_address' })
      expect(asked).toEqual([])
      if (what === 'no address at all') return // As a redirect it is an address beside the one before.
      expect(await omise.downloadCode(`${url}${DOWNLOAD}`)).toMatchObject({ answer: 'refused', code: 'foreign_address' })
      expect(asked).toHaveLength(1)
    })
  }

  test('of more than a megabyte is not swallowed', async () => {
    const { omise, url } = await clientOf(bytes(200, 'image/png', Buffer.alloc(1_048_577)))
    expect(await omise.downloadCode(`${url}${DOWNLOAD}`)).toMatchObject({ answer: 'refused', code: 'document_too_large' })
  })

  test('that is gone is refused; of a broken server there is no answer', async () => {
    const gone = await clientOf(bytes(404, 'text/html', 'gone'))
    expect(await gone.omise.downloadCode(`${gone.url}${DOWNLOAD}`)).toMatchObject({ answer: 'refused', status: 404, code: 'no_document' })
    const broken = await clientOf(bytes(500, 'text/html', ''), silence)
    expect(await client(broken.url, { timeoutMs: 200 }).omise.downloadCode(`${broken.url}${DOWNLOAD}`)).toMatchObject({ because: 'timeout' })
  })
})

describe('the key', () => {
  const log = pino({ level: 'silent' })
  const make = (options: Partial<OmiseOptions>) => () => createOmise({ apiUrl: 'https://api.omise.co', secretKey: KEY, log, ...options })
  const code = (expected: string) => expect.objectContaining({ code: expected })

  test('tells whether the money is real', () => {
    expect(make({})().livemode).toBe(false)
    expect(make({ secretKey: 'skey_5x6live' })().livemode).toBe(true)
  })

  test('must be a secret one, whole, and is not quoted when it is not', () => {
    for (const secretKey of ['', 'pkey_test_5x6canary', 'skey_', 'skey_test_5x6canary\r\nx: y', 'skey_test_5x6canary:']) {
      expect(make({ secretKey })).toThrow(code('OMISE_BAD_KEY'))
      expect(make({ secretKey })).not.toThrow(/canary/)
    }
  })

  test('must be of the same mode as the public one', () => {
    expect(make({ publicKey: 'pkey_5x6live' })).toThrow(code('OMISE_BAD_KEY'))
  })

  test('goes over https when the money is real', () => {
    expect(make({ secretKey: 'skey_5x6live', apiUrl: 'http://127.0.0.1:8090' })).toThrow(code('OMISE_LIVE_KEY_IN_CLEAR'))
  })

  test('goes to an origin', () => {
    for (const apiUrl of ['', 'api.omise.co', 'ftp://api.omise.co', 'https://a:b@api.omise.co', 'https://api.omise.co/v1']) {
      expect(make({ apiUrl })).toThrow(code('OMISE_BAD_URL'))
    }
  })

  test('a charge of real money is no answer to a test key', async () => {
    const { omise } = await clientOf(json(200, chargeJson({ livemode: true })))
    expect(await omise.expireCharge(CHARGE)).toMatchObject({ because: 'unreadable answer' })
  })

  test('no key, no address of a code, no text of a code and no metadata reach the log or an answer that failed', async () => {
    const echo: Reply = (response, asked) => { json(400, errorJson('bad_request', `${asked.headers.authorization}`))(response, asked) }
    const { omise, url, lines } = await clientOf(json(200, chargeJson()), echo, hangUp, hangUp, hangUp, json(200, {}))
    await omise.retrieveCharge(CHARGE)
    await omise.expireCharge(CHARGE)
    const failed = [await omise.downloadCode(`${url}${DOWNLOAD}`), await omise.downloadCode(`http://127.0.0.1:1${DOWNLOAD}`),
      await omise.expireCharge(CHARGE)]
    const said = lines.join('') + JSON.stringify(failed)
    expect(lines.length).toBeGreaterThanOrEqual(6)
    for (const secret of [KEY, KEY_IN_BASE64, '76670AB40294D368', 'documents', '019c9e60']) expect(said).not.toContain(secret)
  })

  test('the API\'s request id is logged, so that their support can find a request', async () => {
    const { omise, lines } = await clientOf(json(200, chargeJson()))
    await omise.retrieveCharge(CHARGE)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ what: 'retrieve charge', status: 200, requestId: 'b2a0-request', answer: 'ok' })
  })
})

describe('with the sandbox at the other end', () => {
  test('a sale is charged, read, paid, and its money given back', async () => {
    const sandbox = await createSandbox()
    closers.push(() => void sandbox.close())
    const { omise } = client(sandbox.url, { secretKey: sandbox.secretKey, publicKey: sandbox.publicKey })
    const from = new Date(Date.now() - 60_000).toISOString()
    const terms = { amountMinor: 2500, currency: 'THB', metadata: { sale: 's1' } }

    expect(await omise.capability()).toMatchObject({ answer: 'ok', value: { country: 'TH' } })
    const source = await omise.createSource({ ...terms, method: 'alipayplus_mpm' })
    const charged = source.answer === 'ok' ? await omise.chargeSource({ ...terms, source: source.value.id }) : source
    expect(charged).toMatchObject({ answer: 'ok', value: { status: 'pending', amountMinor: 2500, metadata: { sale: 's1' } } })
    const created = await omise.chargeNewSource({ ...terms, method: 'alipayplus_mpm' })
    if (created.answer !== 'ok') throw new Error(JSON.stringify(created))
    const { id, code } = created.value

    expect(await omise.downloadCode(code?.downloadUri ?? '')).toMatchObject({ answer: 'ok' })
    expect(await omise.listCharges({ from, order: 'reverse_chronological' })).toMatchObject({ value: { total: 2, unreadable: 0 } })
    await fetch(`${sandbox.url}/charges/${id}/mark_as_paid`, {
      method: 'POST', headers: { authorization: `Basic ${Buffer.from(`${sandbox.secretKey}:`).toString('base64')}` },
    })
    expect(await omise.retrieveCharge(id)).toMatchObject({ value: { status: 'successful', paid: true } })
    expect(await omise.expireCharge(id)).toMatchObject({ answer: 'refused', code: 'failed_expire' })
    expect(await omise.refundCharge(id, { amountMinor: 2500, metadata: { sale: 's1' } })).toMatchObject({ value: { charge: id, amountMinor: 2500 } })
    expect(await omise.listRefunds(id)).toMatchObject({ value: { items: [{ metadata: { sale: 's1' } }], unreadable: 0 } })
    expect(await omise.chargeEvents(id)).toMatchObject({ answer: 'ok', value: { unreadable: 0 } })
    expect(await omise.listEvents({ from })).toMatchObject({ answer: 'ok', value: { unreadable: 0 } })
    expect(await omise.retrieveCharge('chrg_test_5x6nobodyknows0000')).toMatchObject({ answer: 'refused', status: 404 })
  })

  test('an open charge is closed', async () => {
    const sandbox = await createSandbox()
    closers.push(() => void sandbox.close())
    const { omise } = client(sandbox.url, { secretKey: sandbox.secretKey })
    const created = await omise.chargeNewSource({ amountMinor: 2500, currency: 'THB', metadata: {}, method: 'alipayplus_mpm' })
    const charge = created.answer === 'ok' ? created.value.id : ''
    expect(await omise.expireCharge(charge)).toMatchObject({ answer: 'ok', value: { id: charge, status: 'expired', paid: false } })
  })

  test('an amount outside the limits is refused in the API\'s own words', async () => {
    const sandbox = await createSandbox()
    closers.push(() => void sandbox.close())
    const { omise } = client(sandbox.url, { secretKey: sandbox.secretKey })
    const created = await omise.chargeNewSource({ amountMinor: 1, currency: 'THB', metadata: {}, method: 'alipayplus_mpm' })
    expect(created).toMatchObject({ answer: 'refused', status: 400 })
  })
})
