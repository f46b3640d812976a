/**
 * The folder that a demo writes to. It is emptied before each run, so it must hold nothing but what a demo leaves, and
 * no demo may still be at work in it. Throws sentences for a person.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The process that is at work in the folder. */
const PROCESS_FILE = 'demo.pid'
const LEFT_BY_DEMOS: readonly string[] = [PROCESS_FILE, 'bench', 'panel', 'register', 'register-of-terminal']

/** Makes the folder, or empties it; returns what leaves it again, with everything in it but the claim. */
export function takeFolder(folder: string): () => void {
  const names = namesIn(folder)
  const foreign = names.find((name) => !LEFT_BY_DEMOS.includes(name))
  if (foreign !== undefined) throw new Error(`${folder} would be emptied, but holds ${foreign}, which no demo made; use another folder`)
  const other = processIn(folder)
  if (other !== undefined) throw new Error(`another demo is at work in ${folder} (process ${other}); end it, or use another folder`)

  for (const name of names) rmSync(join(folder, name), { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, PROCESS_FILE), `${process.pid}\n`)
  return () => rmSync(join(folder, PROCESS_FILE), { force: true })
}

function namesIn(folder: string): readonly string[] {
  const stat = statSync(folder, { throwIfNoEntry: false })
  if (stat === undefined) return []
  if (!stat.isDirectory()) throw new Error(`${folder} is not a folder`)
  return readdirSync(folder)
}

/** Undefined when nobody is; a claim that a killed demo left behind counts for nothing, also when its number was used again. */
function processIn(folder: string): number | undefined {
  try {
    const pid = Number(readFileSync(join(folder, PROCESS_FILE), 'utf8'))
    return /demo/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8')) ? pid : undefined
  } catch {
    return undefined // No claim, or no such process.
  }
}
