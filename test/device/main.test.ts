/** The terminal's program as a person or systemd starts it: a real process, its words and its exit code. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { mintKey, publicPart } from '../../device/protocol/seal.js'
import { blankFrame } from '../../device/render.js'
import { encodePng } from '../../drivers/panel/png.js'

const MAIN = join(import.meta.dirname, '../../dist/device/main.js')
const PASSWORD = 'broker-password-canary'
const SIZE = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }

let folder: string
let running: ChildProcess[]
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plinth-'))
  running = []
})
afterEach(() => {
  for (const child of running) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

const write = (name: string, content: unknown): void =>
  writeFileSync(join(folder, name), typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content), { mode: 0o600 })

interface Files { readonly site?: object; readonly profile?: object; readonly identity?: object; readonly terminal?: object }

/** A shop in order, but for what the test bends. Its broker is nowhere: nothing listens on port 1. */
async function shopWith({ site, profile, identity, terminal }: Files = {}): Promise<string> {
  const key = await mintKey('counter-1')
  write('site.json', { shopName: 'Baan Kafae', country: 'TH', currency: 'THB', method: 'alipayplus_mpm', ...site })
  write('profile.json', { panel: { driver: 'png', directory: 'pictures', ...SIZE }, keypad: { driver: 'stdin' }, lamps: { driver: 'log' }, ...profile })
  write('identity.json', {
    terminal: 'counter-1', broker: { url: 'mqtt://127.0.0.1:1', username: 'counter-1', password: PASSWORD }, key,
    gatewayKeys: [publicPart(await mintKey('gateway-1'))], ...identity,
  })
  write('terminal.json', { profile: './profile.json', site: './site.json', identity: './identity.json', ...terminal })
  return key.d
}

interface Ended { readonly code: number | null; readonly out: string; readonly err: string }

/** Runs `plinth`; `watch` sees its output as it comes. */
function plinth(args: readonly string[], watch: (out: string, child: ChildProcess) => void = () => undefined): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] })
  running.push(child)
  let out = '', err = ''
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
    watch(out, child)
  })
  child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString() })
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, out, err })))
}

const onConfig = (command: string, watch?: (out: string, child: ChildProcess) => void): Promise<Ended> =>
  plinth([command, '--config', 'terminal.json'], watch)
const blankPng = (): Buffer => encodePng(blankFrame(SIZE))
const onPanel = (): Buffer => readFileSync(join(folder, 'pictures/latest.png'))

describe('plinth', () => {
  test('--help names its commands', async () => {
    const { code, out } = await plinth(['--help'])
    expect(code).toBe(0)
    expect(out).toMatch(/run[^]*check/)
  })

  test('says its version', async () => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as { version: string }
    expect(await plinth(['--version'])).toMatchObject({ code: 0, out: `${version}\n` })
  })

  test.each([['dance'], ['run'], ['check'], ['run', '--confg', 'x']])('%s %s is not understood, and it says why, with the exit code of what a person must correct first', async (...args) => {
    const { code, err } = await plinth(args)
    expect(code).toBe(2)
    expect(err).toMatch(/^error: /)
  })
})

describe('plinth check', () => {
  test('of a shop in order says how its code will scan, and no secret', async () => {
    const secret = await shopWith()
    const { code, out, err } = await onConfig('check')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/terminal\.json is good\n {2}panel +pictures in [^ ]*pictures, 400 x 300 dots[^]*symbol[^]*scans best from about/)
    expect(out).not.toContain(PASSWORD)
    expect(out).not.toContain(secret)
  })

  test('of a shop with the mark of its brand says how large it stands in the code', async () => {
    await shopWith({ site: { mark: { file: 'mark.png' } } })
    const ink = { widthPx: 64, heightPx: 64, bits: new Uint8Array(512).fill(0xff) }
    write('mark.png', encodePng(ink))
    const { code, out } = await onConfig('check')
    expect({ code, mark: /mark +.*/.exec(out)?.[0] }).toEqual({ code: 0, mark: 'mark       9 modules wide in the middle' })
  })

  test('of a shop whose mark cannot be used says why, beside everything else', async () => {
    await shopWith({ site: { mark: { file: 'mark.png' }, currency: 'SGD', method: 'promptpay' } })
    write('mark.png', encodePng({ widthPx: 64, heightPx: 32, bits: new Uint8Array(256) }))
    const { code, err } = await onConfig('check')
    expect(code).toBe(2)
    expect(err).toMatch(/site\.currency: PromptPay cannot charge SGD[^]*site\.mark\.file: is 64 x 32 dots, not square/)
    rmSync(join(folder, 'mark.png'))
    expect((await onConfig('check')).err).toMatch(/site\.mark\.file: cannot be read: .*mark\.png/)
  })

  test('of a shop whose parts do not go together says so', async () => {
    await shopWith({ site: { method: 'promptpay', currency: 'SGD', country: 'SG' } })
    const { code, out, err } = await onConfig('check')
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(/site\.currency: PromptPay cannot charge SGD[^]*site\.country: PromptPay has no wallets in SG/)
  })
})

describe('a bad configuration', () => {
  test.each(['check', 'run'])('stops plinth %s with every problem at once and exit code 2, and no secret', async (command) => {
    await shopWith({ site: { currency: 'USD', shopname: 'x' }, profile: { lamps: { driver: 'neon' }, panel: { driver: 'png', directory: 'p', ...SIZE, widthPx: 1 } }, identity: { gatewayKeys: [] } })
    const { code, out, err } = await onConfig(command)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    for (const path of ['currency', 'shopname', 'lamps.driver', 'panel.widthPx', 'gatewayKeys']) expect(err).toContain(path)
    expect(err).not.toContain(PASSWORD)
  })

  test.each<[string, () => void, RegExp]>([
    ['is not there', () => rmSync(join(folder, 'terminal.json')), /terminal\.json/],
    ['names a site that is not there', () => rmSync(join(folder, 'site.json')), /site\.json/],
    ['is not JSON', () => write('site.json', '{ "shopName": '), /site\.json/],
  ])('that %s is named', async (_, spoil, named) => {
    await shopWith()
    spoil()
    const { code, err } = await onConfig('run')
    expect(code).toBe(2)
    expect(err).toMatch(named)
  })
})

describe('an identity that nobody would believe', () => {
  test.each(['check', 'run'])('stops plinth %s in a sentence, and no secret', async (command) => {
    const key = { ...await mintKey('counter-1'), x: (await mintKey('other')).x }
    await shopWith({ identity: { key } })
    const { code, out, err } = await onConfig(command)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain('identity.key: is not a key pair: its x and d do not belong together')
    expect(err).not.toContain(key.d)
  })
})

describe('plinth run', () => {
  test('without a broker starts, says that the link is lost, and leaves a blank panel when it is told to stop', async () => {
    const secret = await shopWith()
    let firstPicture: Buffer | undefined
    const { code, out } = await onConfig('run', (text, child) => {
      if (!text.includes('"terminal ready"') || !text.includes('"link lost"')) return
      firstPicture ??= readFileSync(join(folder, 'pictures/0001.png'))
      child.kill('SIGTERM')
    })
    expect(code).toBe(0)
    expect(firstPicture?.equals(blankPng())).toBe(true)
    expect(onPanel().equals(blankPng())).toBe(true)
    expect(out).not.toContain(PASSWORD)
    expect(out).not.toContain(secret)
  })

  test('with a journal that cannot be opened exits with 74, and leaves a blank panel', async () => {
    await shopWith()
    mkdirSync(join(folder, 'journal.sqlite'))
    const { code, out } = await onConfig('run')
    expect(code).toBe(74)
    expect(out).toContain('"journal could not be opened"')
    expect(onPanel().equals(blankPng())).toBe(true)
  })

  test('with a journal that another terminal is running on exits with 74 and says so, and leaves that one its panel', async () => {
    await shopWith()
    const { openJournal } = await import('../../device/journal.js')
    const other = openJournal(join(folder, 'journal.sqlite'), 1)
    const { code, out } = await onConfig('run')
    other.close()
    expect(code).toBe(74)
    expect(out).toContain('JOURNAL_IN_USE')
    expect(out).toContain('another terminal is running on it')
    expect(existsSync(join(folder, 'pictures'))).toBe(false)
  })

  test('with a journal of a newer program exits with 74, and does not touch it', async () => {
    await shopWith()
    const { openJournal } = await import('../../device/journal.js')
    const file = join(folder, 'journal.sqlite')
    openJournal(file, 1).close()
    const { default: Database } = await import('better-sqlite3')
    const db = new Database(file)
    db.pragma('user_version = 99')
    db.close()
    rmSync(`${file}.newest`) // Which would say otherwise.
    const { code, out } = await onConfig('run')
    expect(code).toBe(74)
    expect(out).toContain('JOURNAL_TOO_NEW')
  })
})
