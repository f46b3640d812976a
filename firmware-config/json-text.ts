/**
 * Where a text stops being JSON (RFC 8259), as line and column, and what stands there. Pure.
 * JSON.parse cannot be asked: its messages differ between releases of Node and may quote the text around the fault,
 * and that text may be a key. A name given twice in one object is a fault here too, since JSON.parse drops the first.
 */

export interface JsonFault {
  /** 1.. */
  readonly line: number
  /** 1.., in characters */
  readonly column: number
  readonly what: string
}

/** No configuration nests deeper. */
const DEPTH_MAX = 32

const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"/y
const SCALAR = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.])|(?:true|false|null)(?!\w)/y
const SPACE = /[ \t\r\n]*/y

/** The first fault, or undefined when JSON.parse will take the text. */
export function faultIn(text: string): JsonFault | undefined {
  try {
    const at = skip(text, value(text, skip(text, 0), 0))
    if (at < text.length) throw new Fault(at, `${standing(text, at)} after the end of the document`)
    return undefined
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault
    const before = text.slice(0, fault.at).split('\n')
    return { line: before.length, column: (before.at(-1) ?? '').length + 1, what: fault.what }
  }
}

/** Ends the descent at the fault; never leaves this file. */
class Fault extends Error {
  readonly at: number
  readonly what: string

  constructor(at: number, what: string) {
    super(what)
    this.at = at
    this.what = what
  }
}

/** Each of these takes the place where its thing begins, and gives the place behind it. */
function value(text: string, at: number, depth: number): number {
  if (depth > DEPTH_MAX) throw new Fault(at, `more than ${DEPTH_MAX} levels`)
  if (text[at] === '{') return members(text, at, depth)
  if (text[at] === '[') return entries(text, at, depth)
  const end = text[at] === '"' ? string(text, at) : match(SCALAR, text, at)
  if (end === undefined) throw new Fault(at, `a value belongs here, not ${standing(text, at)}`)
  return end
}

function members(text: string, begin: number, depth: number): number {
  const names = new Set<string>()
  let at = skip(text, begin + 1)
  if (text[at] === '}') return at + 1
  for (;;) {
    if (text[at] !== '"') throw new Fault(at, `a name in double quotes belongs here, not ${standing(text, at)}`)
    const end = string(text, at)
    const name = String(JSON.parse(text.slice(at, end)))
    if (names.has(name)) throw new Fault(at, `the name ${JSON.stringify(name.slice(0, 60))} stands twice in this object`)
    names.add(name)
    at = skip(text, end)
    if (text[at] !== ':') throw new Fault(at, `a colon belongs here, not ${standing(text, at)}`)
    at = skip(text, value(text, skip(text, at + 1), depth + 1))
    if (text[at] === '}') return at + 1
    at = comma(text, at, '}')
  }
}

function entries(text: string, begin: number, depth: number): number {
  let at = skip(text, begin + 1)
  if (text[at] === ']') return at + 1
  for (;;) {
    at = skip(text, value(text, at, depth + 1))
    if (text[at] === ']') return at + 1
    at = comma(text, at, ']')
  }
}

function comma(text: string, at: number, close: '}' | ']'): number {
  if (text[at] !== ',') throw new Fault(at, `a comma or ${close} belongs here, not ${standing(text, at)}`)
  const next = skip(text, at + 1)
  if (text[next] === close) throw new Fault(at, `a comma before ${close}`)
  return next
}

function string(text: string, at: number): number {
  const end = match(STRING, text, at)
  if (end === undefined) throw new Fault(at, 'text that does not end on its line, or an escape that JSON does not have')
  return end
}

function match(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : undefined
}

const skip = (text: string, at: number): number => match(SPACE, text, at) ?? at

/** One character, never more: the text around it may be a secret. */
function standing(text: string, at: number): string {
  const char = text.slice(at, at + 1)
  if (char === '') return 'the end of the file'
  if (char === '/' || char === '#') return 'a comment (JSON has none)'
  return /^[\x20-\x7e]$/.test(char) ? `'${char}'` : `U+${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`
}
