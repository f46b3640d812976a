/**
 * The sandbox as a program of its own, for tests that kill it: compiled from this tree into a folder that is thrown away.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'

const ROOT = new URL('../../../', import.meta.url).pathname
const SOURCES = join(ROOT, 'cloud/sandbox')

export interface Program {
  /** For files of the test. */
  readonly folder: string
  readonly start: (...words: readonly string[]) => Started
  readonly remove: () => void
}

export interface Started {
  readonly child: ChildProcess
  readonly output: () => string
  /** Resolves with the address once it listens. */
  readonly ready: Promise<string>
  readonly ended: Promise<{ readonly code: number | null; readonly output: string }>
}

export function compileSandbox(): Program {
  mkdirSync(join(ROOT, 'out'), { recursive: true })
  const folder = mkdtempSync(join(ROOT, 'out/sandbox-'))
  for (const name of readdirSync(SOURCES)) {
    const { outputText } = ts.transpileModule(readFileSync(join(SOURCES, name), 'utf8'), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, verbatimModuleSyntax: true },
    })
    writeFileSync(join(folder, name.replace(/\.ts$/, '.js')), outputText)
  }
  return {
    folder,
    remove: () => rmSync(folder, { recursive: true, force: true }),
    start: (...words) => {
      const child = spawn(process.execPath, [join(folder, 'main.js'), ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
      let output = ''
      let heard = () => {}
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => { output += chunk.toString(); heard() })
      const ended = new Promise<{ code: number | null; output: string }>((resolve) => child.on('close', (code) => resolve({ code, output })))
      const ready = new Promise<string>((resolve, reject) => {
        heard = () => {
          const address = /http:\/\/127\.0\.0\.1:\d+/.exec(output)
          if (address !== null) resolve(address[0])
        }
        void ended.then(() => reject(new Error(`ended before it listened: ${output}`)))
      })
      ready.catch(() => undefined) // looked at only by tests that expect it to listen
      return { child, output: () => output, ready, ended }
    },
  }
}
