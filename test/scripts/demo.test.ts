/** scripts/demo.sh as a person runs it and breaks it off: its words, its exit codes, and what it leaves behind. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

vi.setConfig({ testTimeout: 60_000 })

const DEMO = join(import.meta.dirname, '../../dist/scripts/demo.js')

let home: string
let running: ChildProcess[]
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'plinth-demo-'))
  running = []
})
afterEach(() => {
  for (const child of running) child.kill('SIGKILL')
  for (const { pid } of programs()) process.kill(pid, 'SIGKILL') // Those of a demo that failed its test.
  rmSync(home, { recursive: true, force: true })
})

interface Ended { readonly code: number | null; readonly out: string; readonly err: string }

function demo(args: readonly string[], watch: (out: string, child: ChildProcess) => void = () => undefined): Promise<Ended> {
  const child = spawn(process.execPath, [DEMO, ...args], { cwd: home, stdio: ['ignore', 'pipe', 'pipe'] })
  running.push(child)
  let out = '', err = ''
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
    watch(out, child)
  })
  child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString() })
  return new Promise((resolve) => child.once('exit', (code) => resolve({ code, out, err })))
}

/** The programs of this test's folder that still run. */
const programs = (): readonly { readonly pid: number; readonly line: string }[] => readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)).flatMap((pid) => {
  try {
    const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
    return line.includes(home) ? [{ pid: Number(pid), line }] : []
  } catch {
    return [] // It ended while we looked.
  }
})
const nothingRuns = (): Promise<void> => vi.waitFor(() => expect(programs()).toEqual([]), { timeout: 15_000 })

describe('a demo that cannot be played', () => {
  test.each([
    [['--amount', '25,00'], '--amount "25,00" is not an amount of THB; write it like 25.00'],
    [['--amount', ''], '--amount "" is not an amount of THB'],
    [['--amount', '19.99'], 'THB 19.99 is below the minimum of THB 20.00 (alipayplus_mpm)'],
    [['--currency', 'SGD', '--method', 'promptpay'], 'PromptPay cannot charge SGD'],
    [['--serve', '--outcome', 'rejected'], '\'--serve\' cannot be used with option \'--outcome <ending>\''],
    [['--serve', '--amount', '30'], '\'--serve\' cannot be used with option \'--amount <amount>\''],
    [['--out', ''], '\'--out <folder>\' argument \'\' is invalid. It needs a name.'],
    [['--out', '.'], 'would be emptied, but holds mine.txt, which no demo made'],
    [['--out', 'mine.txt'], 'mine.txt is not a folder'],
  ])('%j', async (args, sentence) => {
    writeFileSync(join(home, 'mine.txt'), 'mine')
    const { code, out, err } = await demo(args)
    expect(err).toContain(sentence)
    expect([code, out]).toEqual([2, ''])
    expect(readFileSync(join(home, 'mine.txt'), 'utf8')).toBe('mine')
  })

  test('because the port of its page is in use says so, and ends', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => other.once('listening', resolve))
    const address = other.address()
    const port = typeof address === 'object' ? address?.port : undefined
    try {
      const { code, err } = await demo(['--serve', '--port', String(port), '--out', join(home, 'out')])
      expect([code, err]).toEqual([1, `demo: port ${port} of the bench page is in use; choose another with --port, or 0 for any\n`])
    } finally {
      other.close()
    }
    await nothingRuns()
  })
})

describe('a demo that is broken off', () => {
  test.each([
    ['SIGINT', 'before its programs run', 'Starting', 130],
    ['SIGTERM', 'in the middle of the sale', 'please open sale', 143],
    ['SIGHUP', 'with its code on the panel', 'shows the code', 129],
  ] as const)('by %s %s leaves no program running', async (signal, _, moment, exit) => {
    const { code } = await demo(['--out', join(home, 'out')], (out, child) => { if (out.includes(moment)) child.kill(signal) })
    expect(code).toBe(exit)
    await nothingRuns()
    expect(readdirSync(join(home, 'out'))).not.toContain('demo.pid')
  })

  test('because nobody reads its story any more leaves no program running', async () => {
    const { code, err } = await demo(['--out', join(home, 'out')], (out, child) => {
      if (out.includes('please open sale')) child.stdout?.destroy()
    })
    expect([code, err]).toEqual([1, ''])
    await nothingRuns()
  })

  test('is the end that --serve is meant to have, and its folder was safe from another demo until then', async () => {
    let second: Promise<Ended> | undefined
    const first = await demo(['--serve', '--port', '0', '--out', join(home, 'out')], (out, child) => {
      if (!out.includes('The bench is open') || second !== undefined) return
      second = demo(['--out', join(home, 'out')])
      void second.then(() => child.kill('SIGINT'))
    })
    expect(first.code).toBe(0)
    const { code, err } = await second ?? {}
    expect(code).toBe(2)
    expect(err).toContain('another demo is at work in')
    await nothingRuns()
  })
})
