import { createHmac } from 'node:crypto'
import fastify, { type FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { afterEach, describe, expect, test } from 'vitest'
import {
  type Hint, readHint, verifyWebhook, WEBHOOK_BYTES_MAX, type WebhookEvidence, type WebhookRefusal, webhookRoute, webhookSecrets,
} from '../../cloud/webhook.js'

const SECRET_TEXT = Buffer.from('the secret of the test dashboard').toString('base64')
const [secret = Buffer.alloc(0)] = webhookSecrets([SECRET_TEXT])
const next = Buffer.from('the secret after the rotation')
const now = new Date('2026-03-01T12:00:00Z')
const timestamp = String(now.getTime() / 1000)

const event = {
  object: 'event',
  id: 'evnt_test_5x6636lsfxzk8r0fjd6',
  livemode: false,
  location: '/events/evnt_test_5x6636lsfxzk8r0fjd6',
  webhook_deliveries: [],
  data: { object: 'charge', id: 'chrg_test_5x6636kemfhdaxmrodv', amount: 150000, status: 'successful', metadata: { sale: 'x' } },
  key: 'charge.complete',
  created_at: '2026-03-01T11:59:58Z',
}
const body = Buffer.from(`${JSON.stringify(event, null, 2)}\n`)

const sign = (rawBody: Buffer, at = timestamp, key: Buffer | string = secret): Buffer =>
  createHmac('sha256', key).update(`${at}.`).update(rawBody).digest()
const signature = sign(body).toString('hex')
const shifted = (seconds: number): string => String(Number(timestamp) + seconds)

const verdict = (changed: Partial<WebhookEvidence>): 'genuine' | WebhookRefusal => {
  const seen = verifyWebhook({ signatureHeader: signature, timestampHeader: timestamp, rawBody: body, secrets: [secret], now, ...changed })
  return seen.verdict === 'genuine' ? 'genuine' : seen.reason
}

describe('a webhook is believed only when it is really signed, and fresh', () => {
  const cases: Readonly<Record<string, readonly ['genuine' | WebhookRefusal, Partial<WebhookEvidence>]>> = {
    'signed as the documentation says': ['genuine', {}],
    'no signature header': ['no signature', { signatureHeader: undefined }],
    'an empty signature header': ['no signature', { signatureHeader: ' , ' }],
    'an empty signature beside an empty secret': ['no secret', { signatureHeader: '', secrets: [] }],
    'signed with an empty secret, which we do not have': ['wrong signature', { signatureHeader: sign(body, timestamp, '').toString('hex') }],
    'an empty secret among ours': ['no secret', { signatureHeader: sign(body, timestamp, '').toString('hex'), secrets: [secret, Buffer.alloc(0)] }],
    'the signature in base64': ['wrong signature', { signatureHeader: sign(body).toString('base64') }],
    'the secret used without decoding it': ['wrong signature', { signatureHeader: sign(body, timestamp, SECRET_TEXT).toString('hex') }],
    'the signature with v1= before it': ['wrong signature', { signatureHeader: `v1=${signature}` }],
    'the signature cut short': ['wrong signature', { signatureHeader: signature.slice(0, 62) }],
    'the signature with two digits more': ['wrong signature', { signatureHeader: `${signature}00` }],
    'the body written anew by a JSON library': ['wrong signature', { rawBody: Buffer.from(JSON.stringify(event)) }],
    'one byte of the body changed': ['wrong signature', { rawBody: Buffer.from(body.toString().replace('150000', '250000')) }],
    'the signature of a body without its timestamp':
      ['wrong signature', { signatureHeader: createHmac('sha256', secret).update(body).digest('hex') }],
    'two signatures, ours the second': ['genuine', { signatureHeader: `${sign(body, timestamp, next).toString('hex')},${signature}` }],
    'two signatures with a space between': ['genuine', { signatureHeader: `${signature}, ${sign(body, timestamp, next).toString('hex')}` }],
    'two of our secrets, signed with the newer': ['genuine', { secrets: [secret, next], signatureHeader: sign(body, timestamp, next).toString('hex') }],
    'two signatures, none ours': ['wrong signature', { signatureHeader: `${'0'.repeat(64)},${'f'.repeat(64)}` }],
    'a hundred signatures, ours the last': ['too many signatures', { signatureHeader: `${`${'0'.repeat(64)},`.repeat(99)}${signature}` }],
    'the header twice': ['genuine', { signatureHeader: ['0'.repeat(64), signature] }],
    'no timestamp': ['no timestamp', { timestampHeader: undefined }],
    'a timestamp in words': ['no timestamp', { timestampHeader: now.toISOString() }],
    'a timestamp in hexadecimal': ['no timestamp', { timestampHeader: '0x65e1c5c0' }],
    'another timestamp than was signed': ['wrong signature', { timestampHeader: shifted(1) }],
    'five minutes old': ['genuine', { timestampHeader: shifted(-300), signatureHeader: sign(body, shifted(-300)).toString('hex') }],
    'a second older than that': ['timestamp outside the window', { timestampHeader: shifted(-301), signatureHeader: sign(body, shifted(-301)).toString('hex') }],
    'five minutes ahead': ['genuine', { timestampHeader: shifted(300), signatureHeader: sign(body, shifted(300)).toString('hex') }],
    'a second further ahead': ['timestamp outside the window', { timestampHeader: shifted(301), signatureHeader: sign(body, shifted(301)).toString('hex') }],
    'a clock of ours that is no time at all': ['timestamp outside the window', { now: new Date(Number.NaN) }],
    'signed with the secret of the other mode': ['wrong signature', { signatureHeader: sign(body, timestamp, next).toString('hex') }],
    'a body one byte too long': ['body too large', (() => {
      const rawBody = Buffer.alloc(WEBHOOK_BYTES_MAX + 1, ' ')
      return { rawBody, signatureHeader: sign(rawBody).toString('hex') }
    })()],
  }
  for (const [what, [expected, changed]] of Object.entries(cases)) {
    test(what, () => { expect(verdict(changed)).toBe(expected) })
  }
})

describe('the secrets of the dashboard', () => {
  test('are decoded from base64', () => {
    expect(webhookSecrets([` ${SECRET_TEXT}\n`])).toEqual([Buffer.from('the secret of the test dashboard')])
  })

  for (const [what, texts] of [['none', []], ['an empty one', ['']], ['a blank one', [SECRET_TEXT, '  ']], ['no base64', ['!!secret!!']]] as const) {
    test(`${what}: nothing could be believed, so nothing starts`, () => {
      expect(() => webhookSecrets(texts)).toThrow(expect.objectContaining({ code: 'WEBHOOK_SECRET_MISSING' }))
    })
  }
})

describe('what an event tells to look at', () => {
  const hintOf = (json: unknown): Hint | undefined => readHint(Buffer.from(typeof json === 'string' ? json : JSON.stringify(json)))

  test('a charge', () => {
    expect(readHint(body)).toEqual({
      event: event.id, key: 'charge.complete', objectKind: 'charge', objectId: event.data.id, charge: event.data.id, livemode: false,
    })
  })

  test('a refund leads to its charge, since its own metadata may be empty', () => {
    const hint = hintOf({ ...event, key: 'refund.create', data: { object: 'refund', id: 'rfnd_test_1', charge: 'chrg_test_2', metadata: {} } })
    expect(hint).toMatchObject({ objectKind: 'refund', objectId: 'rfnd_test_1', charge: 'chrg_test_2' })
  })

  test('something without a charge leads nowhere, but is heard', () => {
    expect(hintOf({ ...event, key: 'transfer.send', data: { object: 'transfer', id: 'trsf_test_1' } })).toMatchObject({ charge: undefined })
  })

  const nothing: Readonly<Record<string, unknown>> = {
    'no JSON': '{"object":"event"',
    'an array': [event],
    'a text': '"event"',
    'null': 'null',
    'another object': { ...event, object: 'charge' },
    'no data': { ...event, data: undefined },
    'data that is null': { ...event, data: null },
    'an id that is a number': { ...event, id: 1 },
    'an id that is a path': { ...event, data: { ...event.data, id: '../../account' } },
    'an id of a thousand letters': { ...event, id: 'e'.repeat(1000) },
    'fields inherited from a planted prototype': `{"__proto__":${JSON.stringify(event)}}`,
    'data inherited from a planted prototype':
      `{"object":"event","id":"evnt_1","key":"charge.complete","data":{"__proto__":{"object":"charge","id":"chrg_1"}}}`,
    'names that every object has': { ...event, data: { object: 'charge' } },
    'a hundred arrays in one another': `{"object":"event","id":"e","key":"k","data":{"object":"charge","id":"c"},"x":${'['.repeat(100)}${']'.repeat(100)}}`,
  }
  for (const [what, json] of Object.entries(nothing)) {
    test(`${what}: nothing`, () => { expect(hintOf(json)).toBeUndefined() })
  }

  test('bytes that are not UTF-8: nothing', () => {
    expect(readHint(Buffer.concat([body, Buffer.from([0xff])]))).toBeUndefined()
  })

  test('brackets inside of a text are no nesting', () => {
    expect(hintOf({ ...event, note: `\\"${'['.repeat(100)}` })).toBeDefined()
  })
})

describe('the route', () => {
  let app: FastifyInstance | undefined
  afterEach(() => app?.close())

  async function listening(changed: { readonly livemode?: boolean; readonly onHint?: (hint: Hint) => void } = {}) {
    const hints: Hint[] = []
    const refusals: WebhookRefusal[] = []
    const lines: string[] = []
    const log = pino({ level: 'trace' }, { write: (line: string) => { lines.push(line) } })
    app = fastify()
    app.post('/other', (request) => ({ got: request.body }))
    webhookRoute(app, {
      path: '/webhook', secrets: [secret], now: () => now, log,
      onHint: (hint) => { hints.push(hint) }, onRefused: (reason) => { refusals.push(reason) }, ...changed,
    })
    const address = await app.listen({ host: '127.0.0.1', port: 0 })
    const post = (rawBody: Buffer, headers: Record<string, string> = {}) => fetch(`${address}/webhook`, {
      method: 'POST',
      body: new Uint8Array(rawBody),
      headers: {
        'content-type': 'application/json',
        'omise-signature': sign(rawBody).toString('hex'),
        'omise-signature-timestamp': timestamp,
        ...headers,
      },
    })
    return { address, hints, refusals, lines, post }
  }

  test('hands the hint over and answers 200', async () => {
    const { post, hints, refusals } = await listening()
    const response = await post(body)
    expect([response.status, await response.text()]).toEqual([200, '{}'])
    expect(hints).toMatchObject([{ charge: event.data.id }])
    expect(refusals).toEqual([])
  })

  test('a delivery that comes twice is heard twice: reading the charge again harms nobody', async () => {
    const { post, hints } = await listening()
    expect([(await post(body)).status, (await post(body)).status]).toEqual([200, 200])
    expect(hints).toHaveLength(2)
  })

  test('a charge nobody knows is still a hint; who gets it looks it up', async () => {
    const unknown = Buffer.from(body.toString().replaceAll('chrg_test_5x6636kemfhdaxmrodv', 'chrg_test_unknown'))
    const { post, hints } = await listening()
    expect((await post(unknown)).status).toBe(200)
    expect(hints).toMatchObject([{ charge: 'chrg_test_unknown' }])
  })

  const refusedCases: Readonly<Record<string, readonly [number, WebhookRefusal, Buffer, Record<string, string>]>> = {
    'a forged one': [401, 'wrong signature', body, { 'omise-signature': '0'.repeat(64) }],
    'one signed under a header that does not exist': [401, 'no signature', body, { 'omise-signature': '', 'x-omise-signature': signature }],
    'one from an hour ago': [401, 'timestamp outside the window', body,
      { 'omise-signature-timestamp': shifted(-3600), 'omise-signature': sign(body, shifted(-3600)).toString('hex') }],
    'one that is signed and means nothing': [400, 'malformed body', Buffer.from('{}'), {}],
    'an empty one': [401, 'wrong signature', Buffer.alloc(0), { 'omise-signature': signature }],
    'a form': [415, 'wrong content type', body, { 'content-type': 'application/x-www-form-urlencoded' }],
    'a text': [415, 'wrong content type', body, { 'content-type': 'text/plain' }],
    'a compressed one, which is not what was signed': [400, 'malformed body', Buffer.from([0x1f, 0x8b, 8, 0]), { 'content-encoding': 'gzip' }],
    'one too long': [413, 'body too large', Buffer.alloc(WEBHOOK_BYTES_MAX + 1, ' '), {}],
  }
  for (const [what, [status, reason, rawBody, headers]] of Object.entries(refusedCases)) {
    test(`${what} gets ${status} and changes nothing`, async () => {
      const { post, hints, refusals } = await listening()
      expect((await post(rawBody, headers)).status).toBe(status)
      expect(refusals).toEqual([reason])
      expect(hints).toEqual([])
    })
  }

  test('an event of the other mode is refused even when it is signed', async () => {
    const { post, hints, refusals } = await listening({ livemode: true })
    expect((await post(body)).status).toBe(400)
    expect([hints, refusals]).toEqual([[], ['other mode']])
  })

  test('a hint that could not be handed over is not said to be received', async () => {
    const { post } = await listening({ onHint: () => { throw new Error('queue full') } })
    expect((await post(body)).status).toBe(500)
  })

  test('the other routes keep their own body parser and error answers', async () => {
    const { address } = await listening()
    const send = (text: string) => fetch(`${address}/other`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: text })
    expect(await (await send('{"a":1}')).json()).toEqual({ got: { a: 1 } })
    expect(await (await send('{')).json()).toMatchObject({ statusCode: 400 })
  })

  test('neither a secret nor a signature nor a body reaches the log', async () => {
    const { post, lines } = await listening()
    await post(body)
    await post(body, { 'omise-signature': 'f'.repeat(64) })
    const logged = lines.join('')
    expect(lines).toHaveLength(2)
    for (const text of [SECRET_TEXT, signature, 'f'.repeat(64), 'metadata']) expect(logged).not.toContain(text)
  })

  test('without a secret there is no route', () => {
    const log = pino({ level: 'silent' })
    const route = { path: '/webhook', now: () => now, log, onHint: () => undefined, onRefused: () => undefined }
    expect(() => { webhookRoute(fastify(), { ...route, secrets: [] }) }).toThrow(/no webhook secret/)
    expect(() => { webhookRoute(fastify(), { ...route, secrets: [secret, Buffer.alloc(0)] }) }).toThrow(/secret 2 is empty/)
  })
})
