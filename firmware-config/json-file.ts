/**
 * One JSON file -> a value of its schema, or every problem in it. About no configuration in particular: the terminal's
 * layers and the gateway's file are both read with it.
 */
import { readFileSync, statSync } from 'node:fs'
import type { z } from 'zod'
import { faultIn } from './json-text.js'
import { type Problem, problemsOf } from './problems.js'

export type ReadJson<T> = { readonly value: T } | { readonly problems: readonly Problem[] }

/** A configuration is a few kilobytes; whatever is larger is not one. */
const FILE_BYTES_MAX = 65_536

/** `prefix` stands before each path in a problem ('' for none). */
export function readJsonFile<T>(file: string, prefix: string, schema: z.ZodType<T>): ReadJson<T> {
  const text = readText(file)
  if ('problem' in text) return { problems: [{ file, path: prefix, ...text }] }

  const fault = faultIn(text.text)
  if (fault !== undefined) {
    return { problems: [{ file, path: prefix, problem: `is not JSON: line ${fault.line}, column ${fault.column}: ${fault.what}` }] }
  }
  const input: unknown = JSON.parse(text.text)
  const parsed = schema.safeParse(input)
  if (parsed.success) return { value: parsed.data }
  return { problems: problemsOf(parsed.error, input, prefix, schema).map((problem) => ({ ...problem, file })) }
}

/** Why a file could not be read. */
export type Misread = { readonly problem: string; readonly hint?: string }

function readText(file: string): { readonly text: string } | Misread {
  try {
    const stat = statSync(file)
    if (!stat.isFile()) return { problem: 'is not a file' }
    if (stat.size > FILE_BYTES_MAX) return { problem: `is ${stat.size} bytes long; at most ${FILE_BYTES_MAX} make sense` }
    const bytes = readFileSync(file)
    // Editors of one well-known system begin a file with a byte order mark, which TextDecoder drops.
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }
  } catch (error) {
    return misread(error)
  }
}

const NO_FILE: Misread = { problem: 'there is no such file' }
const NO_RIGHT: Misread = { problem: 'may not be read by this user', hint: 'run as the user it belongs to, or correct its owner' }

const MISREAD: ReadonlyMap<string | undefined, Misread> = new Map([
  ['ENOENT', NO_FILE], ['ENOTDIR', NO_FILE], ['EACCES', NO_RIGHT], ['EPERM', NO_RIGHT],
  ['ERR_ENCODING_INVALID_ENCODED_DATA', { problem: 'is not text in UTF-8' }],
])

export function misread(error: unknown): Misread {
  const code = codeOf(error)
  return MISREAD.get(code) ?? { problem: `cannot be read (${code ?? String(error)})` }
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
