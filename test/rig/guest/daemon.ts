/** The whole terminal as a process of its own, as systemd starts it; its log is what is known of it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { eachLine } from '../lines.js'
import type { Papers } from '../outside.js'

export interface DaemonRecord {
  readonly msg: string
  readonly [field: string]: unknown
}

export interface Daemon {
  /** Resolves when it says that it is ready. */
  start(): Promise<void>
  /** Resolves with the first record since the last start that matches, or since that many records. */
  until(matches: (record: DaemonRecord) => boolean, since?: number): Promise<DaemonRecord>
  said(matches: (record: DaemonRecord) => boolean, since: number): boolean
  /** How many there are. */
  count(): number
  kill(signal: NodeJS.Signals): Promise<void>
  pid(): number
  /** The last records, for a message. */
  lastWords(): string
}

const RECORD_MS = 90_000

export function createDaemon(folder: string, profile: object, { site, identity }: Papers): Daemon {
  mkdirSync(folder, { recursive: true })
  for (const [name, content] of Object.entries({
    'terminal.json': { profile: './profile.json', site: './site.json', identity: './identity.json' },
    'profile.json': profile, 'site.json': site, 'identity.json': identity,
  })) writeFileSync(join(folder, name), JSON.stringify(content), { mode: 0o600 })

  let child: ChildProcess | undefined
  let records: DaemonRecord[] = []
  const waiting = new Set<() => void>()
  const lastWords = (): string => records.slice(-8).map((record) => JSON.stringify(record)).join('\n')
  const look = (): void => { for (const one of waiting) one() }

  const until: Daemon['until'] = (matches, since = 0) => new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(late)
      waiting.delete(found)
    }
    const found = (): void => {
      const record = records.slice(since).find(matches)
      if (record === undefined) return
      end()
      resolve(record)
    }
    const late = setTimeout(() => {
      end()
      reject(new Error(`the terminal did not say it in ${RECORD_MS} ms; its last words:\n${lastWords()}`))
    }, RECORD_MS)
    waiting.add(found)
    found()
  })

  return {
    until,
    async start() {
      records = []
      const program = fileURLToPath(new URL('../../../device/main.js', import.meta.url))
      const started = spawn(process.execPath, [program, 'run', '--config', join(folder, 'terminal.json')], { stdio: ['ignore', 'pipe', 'inherit'] })
      child = started
      eachLine(started.stdout, (line) => {
        records.push(JSON.parse(line) as DaemonRecord) // Its log is one record a line.
        look()
      })
      await Promise.race([
        until(({ msg }) => msg === 'terminal ready'),
        once(started, 'exit').then(([code]) => { throw new Error(`the terminal ended with ${code}; its last words:\n${lastWords()}`) }),
      ])
    },
    lastWords,
    said: (matches, since) => records.slice(since).some(matches),
    count: () => records.length,
    async kill(signal) {
      if (child === undefined || child.exitCode !== null) return
      const gone = once(child, 'exit')
      child.kill(signal)
      await gone
    },
    pid: () => child?.pid ?? 0,
  }
}

/** What a process used so far, and its memory. */
export function costOf(pid: number): { readonly cpuMs: number; readonly memoryMb: number } {
  const threads = readFileSync(`/proc/${pid}/schedstat`, 'utf8')
  const resident = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return { cpuMs: Number(threads.split(' ')[0]) / 1e6, memoryMb: Number(resident) / 1024 }
}
