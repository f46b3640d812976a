/**
 * A real program in a process of its own: started, perhaps under a tracer, listened to, typed at, killed, and started
 * again. It never outlives this process, whatever that dies of.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { DIES_WITH_ITS_PARENT } from './machine.js'

/** Levels of the log. */
export const ERROR = 50
export const FATAL = 60

export interface LogRecord {
  readonly time: number
  readonly msg: string
  readonly level: number
  readonly fields: Readonly<Record<string, unknown>>
}

export interface Program {
  readonly name: string
  /** What it logged, over all its lives. */
  readonly records: readonly LogRecord[]
  /** The last life, running or over. */
  readonly life: Life | undefined
  /** `under`: a tracer and its arguments; it must leave this process as the parent of the program. */
  start(under?: readonly string[]): Life
}

export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** The end of what it said on standard error. */
  readonly complaint: string
}

export interface Life {
  readonly pid: number
  readonly records: readonly LogRecord[]
  readonly ended: Promise<Ending>
  alive(): boolean
  /** The first record that matches, past or to come; undefined when it ended before, or after timeoutMs. */
  until(matches: (record: LogRecord) => boolean, timeoutMs: number): Promise<LogRecord | undefined>
  type(keys: string): void
  kill(signal: NodeJS.Signals): Promise<Ending>
}

/** The compiled tree that this module is part of. */
export const DIST = new URL('../../', import.meta.url)

/** `module` is a path in dist/. */
export function createProgram(name: string, module: string, args: readonly string[], logFile: string): Program {
  const records: LogRecord[] = []
  let life: Life | undefined
  return {
    name, records,
    get life() { return life },
    start(under = []) {
      const command = [...DIES_WITH_ITS_PARENT, ...under, process.execPath, fileURLToPath(new URL(module, DIST)), ...args]
      life = lifeOf(spawn('setpriv', command, { stdio: ['pipe', 'pipe', 'pipe'] }), logFile, (record) => { records.push(record) })
      return life
    },
  }
}

function lifeOf(child: ChildProcess, logFile: string, note: (record: LogRecord) => void): Life {
  const records: LogRecord[] = []
  const waiting = new Set<(record: LogRecord | undefined) => void>()
  let complaint = ''
  let ending: Ending | undefined
  const tell = (record: LogRecord | undefined): void => { for (const look of [...waiting]) look(record) }
  child.stderr?.on('data', (chunk: Buffer) => { complaint = (complaint + chunk.toString()).slice(-2_000) })
  child.stdin?.on('error', () => undefined) // Keys typed to a program that was just killed.
  if (child.stdout !== null) {
    createInterface(child.stdout).on('line', (line) => {
      appendFileSync(logFile, `${line}\n`)
      const record = readRecord(line)
      if (record === undefined) return
      records.push(record)
      note(record)
      tell(record)
    })
  }
  // 'close' and not 'exit': what it said before it died is read to its end.
  const ended = new Promise<Ending>((resolve) => child.once('close', (code, signal) => {
    ending = { code, signal, complaint }
    tell(undefined)
    resolve(ending)
  }))
  return {
    pid: child.pid ?? 0,
    records, ended,
    alive: () => ending === undefined && child.exitCode === null && child.signalCode === null,
    until(matches, timeoutMs) {
      const past = records.find(matches)
      if (past !== undefined || ending !== undefined) return Promise.resolve(past)
      return new Promise((resolve) => {
        const answer = (record: LogRecord | undefined): void => {
          clearTimeout(late)
          waiting.delete(look)
          resolve(record)
        }
        const late = setTimeout(() => answer(undefined), timeoutMs)
        const look = (record: LogRecord | undefined): void => { if (record === undefined || matches(record)) answer(record) }
        waiting.add(look)
      })
    },
    type: (keys) => { child.stdin?.write(keys) },
    kill(signal) {
      child.kill(signal)
      return ended
    },
  }
}

function readRecord(line: string): LogRecord | undefined {
  try {
    const json: unknown = JSON.parse(line)
    if (!(json instanceof Object) || !('msg' in json) || !('time' in json) || !('level' in json)) return undefined
    const { time, msg, level, ...fields } = json
    return { time: Number(time), msg: String(msg), level: Number(level), fields }
  } catch {
    return undefined // Not a log line.
  }
}

/** Looks again and again; false after timeoutMs. */
export const comesTrue = async (look: () => boolean, timeoutMs: number): Promise<boolean> =>
  await eventually(() => Promise.resolve(look() || undefined), timeoutMs) === true

/** Looks again and again until there is an answer; undefined after timeoutMs. */
export async function eventually<T>(look: () => Promise<T | undefined>, timeoutMs: number): Promise<T | undefined> {
  for (const end = performance.now() + timeoutMs; performance.now() < end;) {
    const seen = await look()
    if (seen !== undefined) return seen
    await pause(40)
  }
  return undefined
}
