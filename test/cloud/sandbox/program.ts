/**
 * The sandbox as a program of its own, for tests that stop and kill it. It runs from dist/, as it does in a shop.
 */
import { type ChildProcess, spawn } from 'node:child_process'

const MAIN = new URL('../../../dist/cloud/sandbox/main.js', import.meta.url).pathname

export interface Started {
  readonly child: ChildProcess
  /** Resolves with the address once it listens; rejects when it ends before. */
  readonly ready: Promise<string>
  readonly ended: Promise<{ readonly code: number | null; readonly output: string }>
}

export function startSandbox(...words: readonly string[]): Started {
  const child = spawn(process.execPath, [MAIN, ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const ended = new Promise<{ code: number | null; output: string }>((resolve) => child.on('close', (code) => resolve({ code, output })))
  const ready = new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString()
        const address = /http:\/\/127\.0\.0\.1:\d+/.exec(output)
        if (address !== null) resolve(address[0])
      })
    }
    void ended.then(() => reject(new Error(`ended before it listened: ${output}`)))
  })
  ready.catch(() => undefined) // only tests that need it to listen look at it
  return { child, ready, ended }
}
