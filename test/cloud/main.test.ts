import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { passwordHash } from '../../cloud/broker.js'
import { openStore } from '../../cloud/store.js'
import { mintKey, PrivateKeyJson, publicPart } from '../../device/protocol/seal.js'
import { referenceOf } from '../../device/protocol/wire.js'
import { Identity } from '../../firmware-config/schema.js'
import { openShopBooks, orderOf, payLate, sell, type ShopBooks } from './shop-books.js'

const PROGRAM = join(import.meta.dirname, '../../dist/cloud/main.js')

let folder = ''
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'plinth-main-')) })
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const at = (name: string): string => join(folder, name)
const readJson = (name: string): unknown => JSON.parse(readFileSync(at(name), 'utf8'))

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

function gateway(...words: readonly string[]): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...words], { encoding: 'utf8', timeout: 20_000 })
  return { code: status, out: stdout, err: stderr }
}

/** A folder as `init` makes it, with the key of an account put in. */
function ready(): void {
  expect(gateway('init', at('g')).code).toBe(0)
  writeFileSync(at('g/secret-key'), 'skey_test_5x6636kemfhdaxmrodv\n', { mode: 0o600 })
}

const enrolled = (terminal: string, out: string, ...more: readonly string[]): Ended =>
  gateway('enrol', terminal, '--config', at('g/gateway.json'), '--out', at(out), ...more)

describe('plinth-gateway init', () => {
  test('makes a folder that lacks nothing but the key of the account, and says so', () => {
    const { code, out, err } = gateway('init', at('g'))
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toContain(at('g/secret-key'))
    const checked = gateway('check', '--config', at('g/gateway.json'))
    expect(checked.code).toBe(2)
    expect(checked.err.trim().split('\n').filter((line) => line.startsWith('  ') && !line.includes('hint:'))).toEqual([
      `  omise.secretKeyFile: ${at('g/secret-key')} is missing`,
    ])
  })

  test('keeps what it made from others', () => {
    gateway('init', at('g'))
    for (const name of ['g/seal-key.json', 'g/webhook-secret']) expect(statSync(at(name)).mode & 0o777).toBe(0o600)
    expect(PrivateKeyJson.safeParse(readJson('g/seal-key.json')).success).toBe(true)
  })

  test('never makes a second key over the first: every terminal believes only the first', () => {
    gateway('init', at('g'))
    const key = readFileSync(at('g/seal-key.json'), 'utf8')
    const again = gateway('init', at('g'))
    expect(again.code).toBe(1)
    expect(again.err).toBe(`plinth-gateway: ${at('g/gateway.json')} exists already\n`)
    rmSync(at('g/gateway.json'))
    expect(gateway('init', at('g')).code).toBe(1)
    expect(readFileSync(at('g/seal-key.json'), 'utf8')).toBe(key)
  })
})

describe('plinth-gateway check', () => {
  test('says that a good configuration is good', () => {
    ready()
    expect(gateway('check', '--config', at('g/gateway.json'))).toEqual({ code: 0, out: `${at('g/gateway.json')} is good\n`, err: '' })
  })

  test('says every problem at once and exits with 2', () => {
    writeFileSync(at('bad.json'), JSON.stringify({ omise: { secretKeyFile: 'x' }, log: 'loud', colour: 'red' }))
    const { code, err } = gateway('check', '--config', at('bad.json'))
    expect(code).toBe(2)
    for (const path of ['colour', 'log', 'omise.webhookSecretFiles']) expect(err).toContain(`${path}: `)
  })

  test.each(['check', 'run'])('%s says that the halves of the seal key do not belong together, and shows neither', async (command) => {
    ready()
    const key = PrivateKeyJson.parse(readJson('g/seal-key.json'))
    writeFileSync(at('g/seal-key.json'), JSON.stringify({ ...key, x: (await mintKey('other')).x }))
    const { code, err } = gateway(command, '--config', at('g/gateway.json'))
    expect(code).toBe(2)
    expect(err).toContain('sealKeyFile: does not hold a key pair: its x and d do not belong together')
    expect(err).not.toContain(key.d)
  })

  test('exits with 2 when there is no such file', () => {
    const { code, err } = gateway('check', '--config', at('nowhere.json'))
    expect(code).toBe(2)
    expect(err).toContain(at('nowhere.json'))
    expect(err).not.toMatch(/\n\s+at /)
  })
})

describe('plinth-gateway run', () => {
  test('does not start with a bad configuration: exit 2, and nothing was made', () => {
    gateway('init', at('g'))
    const { code, err } = gateway('run', '--config', at('g/gateway.json'))
    expect(code).toBe(2)
    expect(err).toContain('omise.secretKeyFile')
    expect(existsSync(at('g/gateway.sqlite'))).toBe(false)
  })

  test('says in a sentence that its port is taken, or its host is not of this machine', () => {
    ready()
    const settings = readJson('g/gateway.json') as object
    writeFileSync(at('g/gateway.json'), JSON.stringify({ ...settings, broker: { kind: 'embedded', host: '192.0.2.1', port: 1883 } }))
    const { code, err } = gateway('run', '--config', at('g/gateway.json'))
    expect(code).toBe(1)
    expect(err).toMatch(/^plinth-gateway: the broker cannot listen on 192\.0\.2\.1:1883: .+\n$/)
  })

  test('says so when it is webhooks that cannot be heard', () => {
    ready()
    const settings = readJson('g/gateway.json') as object
    const parts = { http: { host: '192.0.2.1', port: 8080 }, broker: { kind: 'embedded', port: 0 } }
    writeFileSync(at('g/gateway.json'), JSON.stringify({ ...settings, ...parts }))
    const { code, err } = gateway('run', '--config', at('g/gateway.json'))
    expect(code).toBe(1)
    expect(err).toMatch(/^plinth-gateway: webhooks cannot be heard on 192\.0\.2\.1:8080: .+\n$/)
  })
})

describe('plinth-gateway enrol', () => {
  test('writes the identity of a terminal for its owner alone, and keeps only what it needs to recognise it', async () => {
    ready()
    const { code, out, err } = enrolled('T-1', 'identity.json')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(statSync(at('identity.json')).mode & 0o777).toBe(0o600)
    const identity = Identity.parse(readJson('identity.json'))
    expect(identity).toMatchObject({ terminal: 'T-1', broker: { url: 'mqtt://127.0.0.1:1883', username: 'T-1' } })
    expect(identity.gatewayKeys).toEqual([publicPart(PrivateKeyJson.parse(readJson('g/seal-key.json')))])
    expect(out).not.toContain(identity.broker.password)

    const store = await openStore(at('g/gateway.sqlite'))
    const known = await store.terminal('T-1')
    await store.close()
    expect(known).toEqual({ id: 'T-1', key: publicPart(identity.key), passwordHash: passwordHash(identity.broker.password), frozen: null })
    const database = readFileSync(at('g/gateway.sqlite'))
    expect(database.includes(identity.key.d) || database.includes(identity.broker.password)).toBe(false)
  })

  test('never writes over an identity file, and then changes nothing for the terminal either', async () => {
    ready()
    enrolled('T-1', 'identity.json')
    const text = readFileSync(at('identity.json'), 'utf8')
    const again = enrolled('T-1', 'identity.json', '--replace')
    expect(again).toEqual({ code: 1, out: '', err: `plinth-gateway: ${at('identity.json')} exists already and is not overwritten\n` })
    expect(readFileSync(at('identity.json'), 'utf8')).toBe(text)
    const store = await openStore(at('g/gateway.sqlite'))
    expect((await store.terminal('T-1'))?.passwordHash).toBe(passwordHash(Identity.parse(JSON.parse(text)).broker.password))
    await store.close()
  })

  test('shuts out the box that has an id only when that is meant', async () => {
    ready()
    enrolled('T-1', 'identity.json')
    const again = enrolled('T-1', 'second.json')
    expect(again).toEqual({ code: 1, out: '', err: 'plinth-gateway: T-1 is enrolled already; --replace shuts out the box that has this id now\n' })
    expect(existsSync(at('second.json'))).toBe(false)
    expect(enrolled('T-1', 'second.json', '--replace').code).toBe(0)
    const store = await openStore(at('g/gateway.sqlite'))
    expect((await store.terminal('T-1'))?.passwordHash).toBe(passwordHash(Identity.parse(readJson('second.json')).broker.password))
    await store.close()
  })

  test('asks how a terminal reaches a broker that listens everywhere', () => {
    ready()
    writeFileSync(at('g/gateway.json'), JSON.stringify({ ...(readJson('g/gateway.json') as object), broker: { kind: 'embedded', host: '0.0.0.0' } }))
    expect(enrolled('T-1', 'identity.json').err).toContain('say with --broker how it reaches the broker')
    expect(enrolled('T-2', 'identity.json', '--broker', 'mqtt://gateway.example:1883').code).toBe(0)
  })

  test('refuses a terminal id that could not stand in a topic', () => {
    ready()
    for (const id of ['T/1', '+', '$SYS', 'ท-1', 'T'.repeat(65)]) {
      const { code, err } = enrolled(id, 'identity.json')
      expect(code).toBe(1)
      expect(err).toContain('must be 1 to 64 letters, digits, _ or -')
    }
    expect(existsSync(at('identity.json'))).toBe(false)
  })

  test('tells the terminal another address of the broker when it is given one', () => {
    ready()
    gateway('enrol', 'T-1', '--config', at('g/gateway.json'), '--out', at('identity.json'), '--broker', 'mqtts://broker.example:8883')
    expect(readJson('identity.json')).toMatchObject({ broker: { url: 'mqtts://broker.example:8883' } })
  })

  test.each(['http://broker.example', 'broker.example'])('refuses the address %s, which no terminal could use, and enrols nobody', (address) => {
    ready()
    const { code, err } = gateway('enrol', 'T-1', '--config', at('g/gateway.json'), '--out', at('identity.json'), '--broker', address)
    expect(code).toBe(2)
    expect(err).toContain(`'${address}' is invalid. It must begin with mqtt:// or mqtts://.`)
    expect(existsSync(at('identity.json'))).toBe(false)
  })
})

describe('what the owner of the shop asks the books', () => {
  const promptpay = orderOf(1, { method: 'promptpay' })
  const reference = referenceOf(promptpay.sale)
  const asked = (...words: readonly string[]): Ended => gateway(...words, '--config', at('g/gateway.json'))

  /** A gateway's folder; its books have one sale, and one that was paid late and cannot be given back. */
  async function withBooks(): Promise<ShopBooks> {
    expect(gateway('init', at('g'), '--api-url', 'http://127.0.0.1:2').code).toBe(0)
    writeFileSync(at('g/secret-key'), 'skey_test_5x6636kemfhdaxmrodv\n', { mode: 0o600 })
    const books = await openShopBooks(at('g/gateway.sqlite'))
    await payLate(books, 0, promptpay, 'chrg_a')
    await sell(books, 60_000, orderOf(2), 'chrg_b')
    return books
  }

  test('is answered beside a gateway that works on them, for people and for machines', async () => {
    const books = await withBooks()
    await books.store.own()
    expect(asked('exceptions').out).toContain(`${reference}  T-1       THB 25.00  chrg_a`)
    expect(asked('exceptions', 'show', '1').out).toContain('What can be done')
    expect(asked('sale', reference.toLowerCase()).out).toContain('NOT PAID')
    expect(asked('exceptions', 'resolve', '1', '--note', 'in cash', '--decision', 'returned')).toEqual({
      code: 0, out: 'Exception 1 is resolved. THB 25.00 was booked as returned.\n', err: '',
    })
    expect(asked('exceptions').out).toBe('No exception is open.\n')
    expect(asked('exceptions', '--all').out).toMatch(/^ 1 {2}returned/m)
    await sell(books, 120_000, orderOf(3), 'chrg_c')
    expect(asked('ledger', 'verify')).toMatchObject({ code: 0, err: '' })
    await books.store.close()
  })

  test('is answered to machines as JSON', async () => {
    await (await withBooks()).store.close()
    const json = (...words: readonly string[]): unknown => JSON.parse(asked(...words, '--json').out)
    expect(json('exceptions')).toMatchObject([{ id: 1, reference, charge: 'chrg_a', amountMinor: 2_500, resolution: null }])
    expect(json('exceptions', 'show', '1')).toMatchObject({ id: 1, heldMinor: 2_500, sale: { reference } })
    expect(json('sale', 'chrg_b')).toMatchObject([{ sale: orderOf(2).sale, phase: 'paid' }])
    expect(json('ledger', 'verify')).toMatchObject({ ok: true, head: { seq: 2 } })
  })

  test('closes a day, and prints the same slip whenever it is asked again', async () => {
    await (await withBooks()).store.close()
    const first = asked('ledger', 'close', '--day', '2026-03-01')
    expect(first).toMatchObject({ code: 0, err: '' })
    expect(first.out).toMatch(/^Day close 2026-03-01 {2}T-1 {2}THB\n/)
    const again = asked('ledger', 'close', '--day', '2026-03-01')
    expect([again.code, again.out]).toEqual([0, first.out])
    expect(again.err).toContain('2026-03-01 was closed already for T-1 THB')
    expect(JSON.parse(asked('ledger', 'close', '--day', '2026-03-01', '--json').out)).toMatchObject([{ day: '2026-03-01', sales: 1, lateMinor: 2_500 }])
  })

  test('verifies a copy that lies somewhere else, with no configuration beside it, and exits with 1 when it is not whole', async () => {
    const books = await withBooks()
    await books.store.close()
    copyFileSync(at('g/gateway.sqlite'), at('copy.sqlite'))
    expect(gateway('ledger', 'verify', '--database', at('copy.sqlite')).code).toBe(0)
    books.tamper(`UPDATE ledger SET lines = replace(lines, '-2500', '-2400') WHERE seq = 2`)
    const { code, out } = asked('ledger', 'verify')
    expect(code).toBe(1)
    expect(out).toBe('The ledger is NOT whole: entry 2 is not as it was written\n')
    expect(JSON.parse(asked('ledger', 'verify', '--json').out)).toEqual({ ok: false, fault: 'entry 2 is not as it was written' })
  })

  test('changes nothing in the file by being asked', async () => {
    await (await withBooks()).store.close()
    const before = readFileSync(at('g/gateway.sqlite'))
    for (const words of [['exceptions'], ['exceptions', 'show', '1'], ['sale', reference], ['ledger', 'verify'], ['reconcile']]) asked(...words)
    expect(readFileSync(at('g/gateway.sqlite')).equals(before)).toBe(true)
  })

  test('and what cannot be done is refused in a sentence, with exit 1', async () => {
    await (await withBooks()).store.close()
    const refused: readonly (readonly [readonly string[], RegExp])[] = [
      [['exceptions', 'show', '9'], /^plinth-gateway: there is no exception 9\n$/],
      [['exceptions', 'resolve', '1', '--note', 'x'],
        /^plinth-gateway: exception 1 stays open: THB 25\.00 of it is held; say --decision kept or --decision returned\n$/],
      [['sale', 'ZZZZZZ'], /^plinth-gateway: no sale has the reference ZZZZZZ\n$/],
      [['ledger', 'close', '--day', '2999-01-01'],
        /^plinth-gateway: 2999-01-01 is not over for T-1 THB: it ends on 2999-01-02 00:00:00 \(\+07:00\), 17:00:00 UTC\n$/],
      [['reconcile', '--day', '2026-03-01'], /^plinth-gateway: the payment API did not list the charges of the day: unreachable, .*\n$/],
    ]
    for (const [words, said] of refused) {
      const { code, out, err } = asked(...words)
      expect([words, code, out]).toEqual([words, 1, ''])
      expect(err).toMatch(said)
    }
  })

  test('where there is no database, none is made', () => {
    ready()
    const commands = ['exceptions', 'exceptions show 1', 'exceptions resolve 1 --note x', 'sale ABCDEF', 'ledger verify', 'ledger close', 'reconcile']
    for (const words of commands) {
      expect([words, asked(...words.split(' '))]).toEqual([words, {
        code: 1, out: '', err: `plinth-gateway: there is no database ${at('g/gateway.sqlite')}: a gateway makes it when it first runs\n`,
      }])
      expect(existsSync(at('g/gateway.sqlite'))).toBe(false)
    }
  })
})

describe('a wrong command line', () => {
  test.each([
    [[]], [['fly']], [['run']], [['check']], [['run', '--config']], [['run', '--config', 'x', '--colour', 'red']], [['enrol', '--config', 'x', '--out', 'y']],
    [['enrol', 'T-1']], [['init']], [['exceptions']], [['sale', '--config', 'x']], [['ledger']], [['ledger', 'verify']], [['reconcile']],
  ])('%j exits with 2 and says what would be right', (words) => {
    const { code, out, err } = gateway(...words)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/error: |Usage: /)
    expect(err).not.toMatch(/\n\s+at /)
  })

  test.each([
    [['exceptions', 'show', 'one'], `'one' is invalid`],
    [['exceptions', 'show', '0'], `'0' is invalid`],
    [['exceptions', 'resolve', '1'], `required option '--note <text>' not specified`],
    [['exceptions', 'resolve', '1', '--note', '  '], 'It must say something.'],
    [['exceptions', 'resolve', '1', '--note', 'x', '--decision', 'keep'], `'keep' is invalid. Allowed choices are kept, returned, none.`],
    [['exceptions', 'everything'], 'too many arguments'],
    [['ledger', 'close', '--day', '2026-02-30'], `'2026-02-30' is invalid. It must be a day, such as 2026-03-01.`],
  ])('%j names what is wrong with it', (words, said) => {
    const { code, err } = gateway(...words, '--config', 'gateway.json')
    expect(code).toBe(2)
    expect(err).toContain(said)
  })

  test('a question for help is answered, with exit 0', () => {
    const { code, out } = gateway('--help')
    expect(code).toBe(0)
    for (const command of ['run', 'check', 'init', 'enrol', 'exceptions', 'sale', 'ledger', 'reconcile']) expect(out).toContain(command)
    expect(gateway('enrol', '--help').code).toBe(0)
  })
})
