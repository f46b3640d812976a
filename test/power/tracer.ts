/**
 * strace between a program and its files: counts the system calls by which the program changes them, and puts a fault
 * into the one wanted -- SIGKILL at its entry, or an error as its answer. Calls are counted from the tracer's start.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { DIES_WITH_ITS_PARENT } from './machine.js'

/** How SQLite changes files and folders (its shared memory is a file that is mapped; it means nothing after a cut). */
export const WRITES = ['pwrite64', 'fsync', 'fdatasync', 'ftruncate', 'fallocate', 'rename', 'unlink'] as const
export type Write = (typeof WRITES)[number]

export interface Fault {
  readonly call: Write
  /** From 1. */
  readonly nth: number
  readonly what: 'SIGKILL' | 'EIO' | 'ENOSPC' | 'EROFS'
}

export const inWords = ({ call, nth, what }: Fault): string => `${what} at ${call} ${nth}`

/** Everything a database is made of and what its owner keeps beside it, and the folder they are in. */
const filesOf = ({ database, folder }: Watched): readonly string[] =>
  [folder, ...SUFFIXES.map((suffix) => `${database}${suffix}`)].flatMap((path) => ['-P', path])

const SUFFIXES = ['', '-wal', '-journal', '-shm', '-owner', '-owner-journal', '.lock', '.lock-journal', '.newest'] as const

export interface Watched { readonly database: string; readonly folder: string }

const TRACE = ['-e', `trace=${WRITES.join()}`] as const

/** In front of a command. The tracer is no parent of the program, which is killed and waited for as if it were alone. */
export function strace(watched: Watched, traceFile: string, fault: Fault | undefined): readonly string[] {
  // Without a filter in the kernel every system call stops; a filter, though, takes no signals.
  const quick = fault?.what === 'SIGKILL' ? [] : ['--seccomp-bpf']
  return ['strace', '-D', '-f', ...quick, '-o', traceFile, ...filesOf(watched), ...TRACE, ...injectionOf(fault)]
}

/** The same for a program that runs already. Resolves when every write is being watched. */
export async function attach(pid: number, watched: Watched, traceFile: string, fault: Fault | undefined): Promise<Tracer> {
  const command = ['strace', '-f', '-p', String(pid), '-o', traceFile, ...filesOf(watched), ...TRACE, ...injectionOf(fault)]
  const tracer = spawn('setpriv', [...DIES_WITH_ITS_PARENT, ...command], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  tracer.stderr.on('data', (chunk: Buffer) => { said += chunk.toString() })
  while (!/attached/.test(said)) {
    if (tracer.exitCode !== null) throw new Error(`strace did not attach: ${said}`)
    await Promise.race([once(tracer.stderr, 'data'), once(tracer, 'exit')])
  }
  return { gone: goneOf(tracer) }
}

export interface Tracer { readonly gone: Promise<void> }

const goneOf = async (tracer: ChildProcess): Promise<void> => { if (tracer.exitCode === null) await once(tracer, 'exit') }

const injectionOf = (fault: Fault | undefined): readonly string[] => {
  if (fault === undefined) return []
  const { call, nth, what } = fault
  return ['-e', `inject=${call}:${what === 'SIGKILL' ? 'signal=SIGKILL' : `error=${what}`}:when=${nth}`]
}

/** Whether the fault was met: the program may have written less than in the rehearsal. */
export const wasInjected = (traceFile: string): boolean =>
  existsSync(traceFile) && readFileSync(traceFile, 'latin1').includes('(INJECTED)')

/** Every write in the trace, as the fault that would meet it. */
export function writesIn(traceFile: string): readonly Pick<Fault, 'call' | 'nth'>[] {
  if (!existsSync(traceFile)) return []
  const counts = new Map<Write, number>()
  return readFileSync(traceFile, 'latin1').split('\n').flatMap((line) => {
    const call = WRITES.find((name) => new RegExp(`^[0-9]+ +${name}\\(`).test(line))
    if (call === undefined) return []
    const nth = (counts.get(call) ?? 0) + 1
    counts.set(call, nth)
    return [{ call, nth }]
  })
}
