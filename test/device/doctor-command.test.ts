/** `plinth doctor` as a person or a script starts it: a real process, its words and its exit code. Its broker is nowhere. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { claimJournal } from '../../device/journal.js'
import { mintKey, publicPart } from '../../device/protocol/seal.js'

const MAIN = join(import.meta.dirname, '../../dist/device/main.js')
const PASSWORD = 'broker-password-canary'

let folder: string
let running: ChildProcess | undefined
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'plinth-'))
  const write = (name: string, content: object): void => writeFileSync(join(folder, name), JSON.stringify(content), { mode: 0o600 })
  write('site.json', { shopName: 'Baan Kafae', country: 'TH', currency: 'THB', method: 'alipayplus_mpm' })
  write('profile.json', { panel: { driver: 'png', directory: 'pictures', widthPx: 400, heightPx: 300, pitchMm: 0.212 }, keypad: { driver: 'stdin' }, lamps: { driver: 'log' }, release: { driver: 'log' } })
  write('identity.json', {
    terminal: 'counter-1', broker: { url: 'mqtt://127.0.0.1:1', username: 'counter-1', password: PASSWORD }, key: await mintKey('counter-1'),
    gatewayKeys: [publicPart(await mintKey('gateway-1'))],
  })
  write('terminal.json', { profile: './profile.json', site: './site.json', identity: './identity.json' })
})
afterEach(() => {
  running?.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

function doctor(args: readonly string[], typed = ''): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }> {
  const child = spawn(process.execPath, [MAIN, 'doctor', '--config', 'terminal.json', ...args], { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] })
  running = child
  let out = '', err = ''
  child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString() })
  child.stdin.end(typed)
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, out, err })))
}

interface Report { readonly version: number; readonly mode: string; readonly counts: { readonly bad: number }; readonly findings: readonly { readonly check: string; readonly status: string; readonly says: string; readonly fix: string | null }[] }

test('by itself it asks nothing, finds the broker that is nowhere, ends with 1, and tells no secret', async () => {
  const { code, out, err } = await doctor(['--auto', '--json'])
  const report = JSON.parse(out) as Report
  expect({ code, err }).toEqual({ code: 1, err: '' })
  expect(report).toMatchObject({ version: 1, mode: 'auto', counts: { bad: 1 } })
  expect(report.findings.find(({ check }) => check === 'gateway')).toMatchObject({ status: 'bad', says: expect.stringContaining('cannot be reached') })
  expect(report.findings.find(({ check }) => check === 'panel')?.status).toBe('good')
  for (const { status, fix } of report.findings) expect(fix === null).toBe(status === 'good' || status === 'skipped')
  expect(out).not.toContain(PASSWORD)
  expect(readdirSync(join(folder, 'pictures')).filter((name) => /^[0-9]+\.png$/.test(name)).length).toBe(2) // The card, and white.
})

test('with a person at a pipe it believes the answers, and its last line counts', async () => {
  const { code, out } = await doctor([], 'n\nno pulse\n')
  expect(code).toBe(1)
  expect(out).toMatch(/^bad +telephone/m)
  expect(out).toMatch(/^skipped +release .*no pulse was sent/m)
  expect(out).toMatch(/\n[0-9]+ good, 2 bad, [0-9]+ unsure, [0-9]+ skipped\n$/)
})

test('beside a running terminal its panel and its identity are left alone, and nothing is bad', async () => {
  const journal = claimJournal(join(folder, 'journal.sqlite')).open(0)
  const { code, out } = await doctor(['--auto'])
  journal.close()
  expect(code).toBe(0)
  expect(out).toMatch(/^skipped +journal +a terminal is running/m)
  expect(readdirSync(folder)).not.toContain('pictures')
})

test('a bad configuration ends with 2, before anything is tried', async () => {
  writeFileSync(join(folder, 'site.json'), '{}')
  const { code, out, err } = await doctor(['--auto'])
  expect({ code, out }).toEqual({ code: 2, out: '' })
  expect(err).toContain('shopName')
})
