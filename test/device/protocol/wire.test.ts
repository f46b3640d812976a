import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createSeal, mintKey } from '../../../device/protocol/seal.js'
import {
  CLOSE_REASONS, downFilter, DownMessage, downTopic, ID_PATTERN, MESSAGE_BYTES_MAX, type Order, referenceOf, shardOf, terminalOfUpTopic, UpMessage,
  UP_FILTER_ALL, upPrefix, upTopic, WIRE_VERSION,
} from '../../../device/protocol/wire.js'

const terminals = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/)
const UP_TYPES: readonly UpMessage['type'][] = ['hello', 'sale.open', 'sale.ask', 'sale.close', 'sale.undelivered', 'gone']
const DOWN_TYPES: readonly DownMessage['type'][] = ['welcome', 'sale.offer', 'sale.verdict', 'sale.reversed']

const order: Order = {
  sale: '01931e7c-0000-7000-8000-000000000001', nonce: '0123456789abcdef0123456789abcdef', amountMinor: 2_500, currency: 'THB', method: 'alipayplus_mpm',
}
const up = { v: WIRE_VERSION, terminal: 'counter-1', id: 'r1', epoch: 1 } as const
const down = { v: WIRE_VERSION, terminal: 'counter-1', re: 'r1', counter: 1_790_000_000_000, time: '2026-11-23T06:00:00.000Z' } as const

const upMessages: readonly UpMessage[] = [
  { ...up, type: 'hello', software: '0.1.0', configHash: 'abc', boot: '0123456789abcdef'.repeat(2), forgot: false, openSales: [order.sale] },
  { ...up, type: 'sale.open', order },
  { ...up, type: 'sale.ask', order, charge: 'chrg_1' },
  { ...up, type: 'sale.close', order, charge: null, reason: 'no answer' },
  ...CLOSE_REASONS.map((reason): UpMessage => ({ ...up, type: 'sale.close', order, charge: 'chrg_1', reason })),
  { ...up, type: 'sale.undelivered', order, charge: 'chrg_1' },
  { ...up, type: 'gone' },
]
const downMessages: readonly DownMessage[] = [
  { ...down, type: 'welcome', charging: true },
  { ...down, re: null, type: 'sale.offer', order, charge: 'chrg_1', payload: 'https://order.example/1', expiresAt: '2026-11-23T06:02:00Z' },
  { ...down, type: 'sale.verdict', order, charge: 'chrg_1', ending: { outcome: 'paid', paidAt: '2026-11-23T06:01:00Z' } },
  { ...down, type: 'sale.verdict', order, charge: null, ending: { outcome: 'unpaid', reason: 'a reason nobody knows yet' } },
  { ...down, re: null, type: 'sale.reversed', order, charge: 'chrg_1', amountMinor: 2_500, voided: true },
]

describe('a topic', () => {
  test('names the terminal that may speak on it', () => {
    fc.assert(fc.property(terminals, fc.constantFrom(...UP_TYPES), (terminal, type) => {
      const topic = upTopic(terminal, type)
      expect(terminalOfUpTopic(topic)).toBe(terminal)
      expect(topic.startsWith(upPrefix(terminal))).toBe(true)
      expect(matches(UP_FILTER_ALL, topic)).toBe(true)
    }))
  })

  test('of words down is one that the terminal listens to, and nobody else does', () => {
    fc.assert(fc.property(terminals, terminals, fc.constantFrom(...DOWN_TYPES), (terminal, other, type) => {
      const topic = downTopic(terminal, type)
      expect(matches(downFilter(terminal), topic)).toBe(true)
      if (other !== terminal) expect(matches(downFilter(other), topic)).toBe(false)
      expect(terminalOfUpTopic(topic)).toBeUndefined()
    }))
  })

  test('is fixed for ever: these ids have these shards', () => {
    expect([shardOf('counter-1'), shardOf('EXAMPLE-0001'), shardOf('a'), shardOf('_'), shardOf('Z'.repeat(64))]).toEqual(GOLDEN_SHARDS)
    expect(upTopic('counter-1', 'sale.open')).toBe(`plinth/1/counter-1/up/${GOLDEN_SHARDS[0]}/sale`)
    expect(upTopic('counter-1', 'sale.close')).toBe(`plinth/1/counter-1/up/${GOLDEN_SHARDS[0]}/sale`)
    expect(upTopic('counter-1', 'sale.undelivered')).toBe(`plinth/1/counter-1/up/${GOLDEN_SHARDS[0]}/sale`)
    expect(upTopic('counter-1', 'hello')).toBe(`plinth/1/counter-1/up/${GOLDEN_SHARDS[0]}/hello`)
    expect(downTopic('counter-1', 'welcome')).toBe('plinth/1/counter-1/dn/welcome')
    expect(downTopic('counter-1', 'sale.verdict')).toBe('plinth/1/counter-1/dn/sale')
    expect(downTopic('counter-1', 'sale.reversed')).toBe('plinth/1/counter-1/dn/sale')
    expect(downFilter('counter-1')).toBe('plinth/1/counter-1/dn/+')
  })

  test('has one of 64 shards, two small hex digits, and all of them are used', () => {
    const seen = new Set(Array.from({ length: 2_000 }, (_, i) => shardOf(`terminal-${i}`)))
    expect([...seen].every((shard) => /^[0-3][0-9a-f]$/.test(shard))).toBe(true)
    expect(seen.size).toBe(64)
  })

  const shard = shardOf('counter-1')
  test.each([
    '', 'plinth', `plinth/2/counter-1/up/${shard}/sale`, `other/1/counter-1/up/${shard}/sale`, `plinth/1/counter-1/dn/${shard}/sale`,
    `plinth/1/counter-1/up/${shard}`, `plinth/1/counter-1/up/${shard}/sale/more`, `/plinth/1/counter-1/up/${shard}/sale`, 'plinth/1/counter-1/up/zz/sale',
    `plinth/1/counter-2/up/${shard}/sale`, `plinth/1/counter.1/up/${shardOf('counter.1')}/sale`, `plinth/1//up/${shardOf('')}/sale`, `plinth/1/+/up/${shardOf('+')}/sale`,
    `plinth/1/#/up/${shardOf('#')}/sale`, `plinth/1/${'x'.repeat(65)}/up/${shardOf('x'.repeat(65))}/sale`, `plinth/1/counter-1\n/up/${shardOf('counter-1\n')}/sale`,
    `plinth/1/$SYS/up/${shardOf('$SYS')}/sale`,
  ])('that is foreign is nobody\'s: %j', (topic) => expect(terminalOfUpTopic(topic)).toBeUndefined())

  test('never takes an id that could mean more than itself', () => {
    for (const id of ['', 'a/b', 'a+', '#', '$a', 'a b', 'a.b', 'é', 'x'.repeat(65), 'a\n']) expect(ID_PATTERN.test(id), id).toBe(false)
  })
})

describe('a message', () => {
  test.each([...upMessages.map((message) => [message.type, message] as const)])('up, %s, comes out as it went in', (_, message) => {
    expect(UpMessage.parse(JSON.parse(JSON.stringify(message)))).toEqual(message)
  })
  test.each([...downMessages.map((message) => [message.type, message] as const)])('down, %s, comes out as it went in', (_, message) => {
    expect(DownMessage.parse(JSON.parse(JSON.stringify(message)))).toEqual(message)
  })

  test.each([0, 2, '1', null, undefined])('of version %j is refused, whoever says it', (v) => {
    for (const message of upMessages) expect(UpMessage.safeParse({ ...message, v }).success).toBe(false)
    for (const message of downMessages) expect(DownMessage.safeParse({ ...message, v }).success).toBe(false)
  })

  test('of one direction is none in the other', () => {
    for (const message of upMessages) expect(DownMessage.safeParse(message).success).toBe(false)
    for (const message of downMessages) expect(UpMessage.safeParse(message).success).toBe(false)
  })

  test('carries nothing that nobody knows', () => {
    expect(UpMessage.parse({ ...upMessages[1], secret: 'x' })).toEqual(upMessages[1])
  })

  test('loses its meaning with any of its fields', () => {
    for (const message of [...upMessages, ...downMessages]) {
      for (const field of Object.keys(message)) {
        const rest = Object.fromEntries(Object.entries(message).filter(([name]) => name !== field))
        expect(UpMessage.safeParse(rest).success || DownMessage.safeParse(rest).success, `${message.type} without ${field}`).toBe(false)
      }
    }
  })

  test.each([
    ['a fraction', { amountMinor: 25.5 }], ['zero', { amountMinor: 0 }], ['less', { amountMinor: -2_500 }], ['a text', { amountMinor: '2500' }],
    ['too much', { amountMinor: 1_000_000_000 }], ['an unknown currency', { currency: 'USD' }], ['an unknown method', { method: 'cash' }],
    ['no UUID', { sale: 'S-1' }], ['a short nonce', { nonce: 'abc' }], ['a loud nonce', { nonce: 'A'.repeat(32) }],
  ])('whose order has %s is none', (_, bent) => {
    expect(UpMessage.safeParse({ ...up, type: 'sale.open', order: { ...order, ...bent } }).success).toBe(false)
    expect(DownMessage.safeParse({ ...downMessages[2], order: { ...order, ...bent } }).success).toBe(false)
  })

  test.each(['', 'f'.repeat(31), 'f'.repeat(33), 'F'.repeat(32), 'boot'.repeat(8)])('whose boot is %j is none', (boot) => {
    expect(UpMessage.safeParse({ ...upMessages[0], boot }).success).toBe(false)
  })

  test.each([0, -1, 25.5, '2500', 1_000_000_000])('that gives back %j is none', (amountMinor) => {
    expect(DownMessage.safeParse({ ...downMessages.at(-1), amountMinor }).success).toBe(false)
  })

  test.each(['tomorrow', '2026-11-23', '2026-02-30T00:00:00Z', '2026-11-23T25:00:00Z', '2026-11-23T06:00:00', '2026-11-23T06:00:00+07:00', ''])(
    'whose code ends at %j is none', (expiresAt) => expect(DownMessage.safeParse({ ...downMessages[1], expiresAt }).success).toBe(false))

  test('of a moment is always a moment that a clock can be compared with', () => {
    const moments = fc.date({ noInvalidDate: true }).map((date) => date.toISOString())
    const nearly = fc.stringMatching(/^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{0,12})?)?Z$/)
    fc.assert(fc.property(fc.oneof(fc.string(), moments, nearly), (expiresAt) => {
      if (DownMessage.safeParse({ ...downMessages[1], expiresAt }).success) expect(Date.parse(expiresAt)).not.toBeNaN()
    }), { numRuns: 3_000 })
  })

  test('at its largest, sealed, is within the bound', async () => {
    const seal = await createSeal(await mintKey('k'.repeat(64)))
    const largest: readonly (UpMessage | DownMessage)[] = [
      { ...up, terminal: 'x'.repeat(64), id: 'i'.repeat(96), type: 'hello', software: '\u0001'.repeat(64), configHash: '\u0001'.repeat(64), boot: 'f'.repeat(32), forgot: false, openSales: Array.from({ length: 16 }, () => order.sale) },
      { ...down, terminal: 'x'.repeat(64), re: '\u0001'.repeat(96), type: 'sale.offer', order, charge: '\u0001'.repeat(64), payload: '\u0001'.repeat(512), expiresAt: down.time },
    ]
    for (const message of largest) {
      expect((message.type === 'hello' ? UpMessage : DownMessage).safeParse(message).success).toBe(true)
      expect((await seal(message)).length).toBeLessThanOrEqual(MESSAGE_BYTES_MAX)
    }
    expect(MESSAGE_BYTES_MAX).toBe(16_384)
  })
})

describe('the reference of a sale', () => {
  test('is the same for ever', () => expect(referenceOf(order.sale)).toBe(GOLDEN_REFERENCE))

  test('has six characters that nobody mistakes on the telephone', () => {
    fc.assert(fc.property(fc.uuid(), (sale) => { expect(referenceOf(sale)).toMatch(/^[2-9A-HJ-NP-Z]{6}$/) }))
  })
})

const GOLDEN_SHARDS = [ '38', '0f', '0a', '12', '0c' ]
const GOLDEN_REFERENCE = '5GYJBE'

/** [MQTT-4.7.1] */
function matches(filter: string, topic: string): boolean {
  const wanted = filter.split('/'), levels = topic.split('/')
  return wanted.length === levels.length && wanted.every((part, i) => part === '+' || part === levels[i])
}
