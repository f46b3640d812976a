/**
 * What is wrong with a configuration, in sentences a shopkeeper can act on: where, what was found, what belongs there.
 * Pure, and about no configuration in particular: the terminal and the gateway both use it.
 * The value of anything that may be a secret is never repeated here, whatever is wrong with it.
 */
import { z } from 'zod'

export interface Problem {
  /** Where in the configuration: 'site.currency', 'identity.gatewayKeys.0.x'. */
  readonly path: string
  /** What is wrong there, without the path: 'must be one of THB, SGD, MYR (found "USD")'. */
  readonly problem: string
  /** What would put it right, when that can be told. */
  readonly hint?: string
  /** The file it stands in, when there are several. */
  readonly file?: string
}

/** Past this a value is cut: a problem is one line. */
const SHOWN_CHARS_MAX = 60
/** Past this many, a person corrects the first ones and looks again. */
const PROBLEMS_SHOWN_MAX = 100

/**
 * Every problem of one parse, sorted by path. `prefix` stands before each path ('' for none).
 * With the schema at hand an unknown key gets a hint: the known key it looks like, or the keys that may stand there.
 */
export function problemsOf(error: z.ZodError, input: unknown, prefix: string, schema?: z.ZodType): readonly Problem[] {
  const tree = schema === undefined ? undefined : z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' })
  return sortProblems(error.issues.flatMap((issue) => explain(issue, [], { input, prefix, tree })))
}

/** By file, then by path with numbers in order (2 before 10), so that the same mistakes always read the same. */
export const sortProblems = (problems: readonly Problem[]): readonly Problem[] =>
  [...problems].sort((a, b) => compare(a.file ?? '', b.file ?? '') || compare(a.path, b.path) || compare(a.problem, b.problem))

/** One line a problem, its hint below it; under a line naming the file when there are several files. */
export function formatProblems(problems: readonly Problem[]): string {
  const lines: string[] = []
  let file: string | undefined
  for (const problem of problems.slice(0, PROBLEMS_SHOWN_MAX)) {
    if (problem.file !== undefined && problem.file !== file) lines.push(`${problem.file}:`)
    file = problem.file
    const indent = file === undefined ? '' : '  '
    lines.push(`${indent}${problem.path === '' ? '' : `${problem.path}: `}${problem.problem}`)
    if (problem.hint !== undefined) lines.push(`${indent}  hint: ${problem.hint}`)
  }
  if (problems.length > PROBLEMS_SHOWN_MAX) lines.push(`... and ${problems.length - PROBLEMS_SHOWN_MAX} more`)
  return lines.join('\n')
}

/** The known word that was probably meant, or undefined when none is near. */
export function nearestWord(word: string, known: readonly string[]): string | undefined {
  const limit = Math.max(1, Math.floor(word.length / 3))
  const near = known
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance)
  return near[0]?.candidate
}

/*-- One issue --*/

type Issue = z.core.$ZodIssue
type JsonSchema = z.core.JSONSchema.JSONSchema

interface Scene {
  readonly input: unknown
  readonly prefix: string
  readonly tree: JsonSchema | undefined
}

function explain(issue: Issue, base: readonly PropertyKey[], scene: Scene): readonly Problem[] {
  const keys = [...base, ...issue.path]
  const value = valueAt(scene.input, keys)
  const found = ` (found ${shown(keys, value)})`
  const say = (problem: string): readonly Problem[] => [{ path: pathText(scene.prefix, keys), problem }]

  switch (issue.code) {
    case 'invalid_type':
      return value === undefined ? say(`is missing; ${mustBe(issue.expected)}`) : say(`${mustBe(issue.expected)}${found}`)
    case 'invalid_value':
      return say(`${oneOf(issue.values)}${value === undefined ? ' (is missing)' : found}`)
    case 'too_small':
      return say(bound('at least', issue.origin, issue.minimum, issue, keys, value))
    case 'too_big':
      return say(bound('at most', issue.origin, issue.maximum, issue, keys, value))
    case 'not_multiple_of':
      return say(`must be a multiple of ${issue.divisor}${found}`)
    case 'invalid_format':
      return say(`must be ${formatText(issue)}${found}`)
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(key, keys, scene))
    case 'invalid_union':
      return union(issue, keys, scene)
    case 'invalid_key':
      return say(`is not a name that may stand here: ${issue.issues.map((inner) => inner.message).join('; ')}`)
    case 'invalid_element':
      return issue.issues.flatMap((inner) => explain(inner, keys, scene))
    case 'custom':
      return say(issue.message)
  }
}

function unknownKey(key: string, at: readonly PropertyKey[], scene: Scene): Problem {
  const known = scene.tree === undefined ? [] : keysAt(scene.tree, at).filter((name) => name !== '$schema')
  const meant = nearestWord(key.slice(0, SHOWN_CHARS_MAX), known)
  const hint = meant === undefined
    ? (known.length === 0 ? undefined : `what may stand here: ${known.join(', ')}`)
    : `did you mean ${meant}?`
  return { path: pathText(scene.prefix, [...at, key]), problem: 'unknown key', ...(hint === undefined ? {} : { hint }) }
}

function union(issue: Extract<Issue, { code: 'invalid_union' }>, keys: readonly PropertyKey[], scene: Scene): readonly Problem[] {
  const value = valueAt(scene.input, keys)
  const found = value === undefined ? ' (is missing)' : ` (found ${shown(keys, value)})`
  const path = pathText(scene.prefix, keys)

  if ('options' in issue && issue.options !== undefined) return [{ path, problem: `${oneOf(issue.options)}${found}` }]
  // A union of plain values: zod reports one refusal a value.
  const values = issue.errors.map((errors) => (errors.length === 1 && errors[0]?.code === 'invalid_value' ? errors[0].values : undefined))
  if (values.length > 0 && values.every((list) => list !== undefined)) return [{ path, problem: `${oneOf(values.flat())}${found}` }]
  // Anything else: the branch that came furthest into the value is the one that was meant.
  const meant = [...issue.errors].sort((a, b) => depth(b) - depth(a) || a.length - b.length)[0]
  if (meant === undefined || depth(meant) === 0) return [{ path, problem: `has none of the forms that may stand here${found}` }]
  return meant.flatMap((inner) => explain(inner, keys, scene))
}

const depth = (issues: readonly Issue[]): number =>
  issues.length === 0 ? 0 : Math.min(...issues.map((issue) => issue.path.length + (issue.code === 'unrecognized_keys' ? 1 : 0)))

/*-- Words --*/

const THINGS: Readonly<Record<string, string>> = {
  string: 'text', number: 'a number', int: 'a whole number', boolean: 'true or false',
  object: 'an object', record: 'an object', array: 'a list', tuple: 'a list', null: 'null',
}

const mustBe = (expected: string): string => `must be ${THINGS[expected] ?? expected}`

const oneOf = (values: readonly unknown[]): string =>
  values.length === 1 ? `must be ${plain(values[0])}` : `must be one of ${values.map(plain).join(', ')}`

const plain = (value: unknown): string => String(value)

const UNITS: Readonly<Record<string, readonly [string, string]>> = {
  string: ['character', 'characters'], array: ['entry', 'entries'], set: ['entry', 'entries'], map: ['entry', 'entries'],
}

function bound(
  side: 'at least' | 'at most', origin: string, limit: number | bigint,
  { inclusive, exact }: { readonly inclusive?: boolean; readonly exact?: boolean },
  keys: readonly PropertyKey[], value: unknown,
): string {
  const unit = UNITS[origin]
  if (unit === undefined) {
    const words = inclusive === false ? (side === 'at least' ? 'more than' : 'less than') : side
    return `must be ${words} ${limit} (found ${shown(keys, value)})`
  }
  const size = Array.isArray(value) || (typeof value === 'string' && !isSecret(keys)) ? value.length : undefined
  const found = size === undefined ? '' : ` (found ${size})`
  return `must have ${exact === true ? 'exactly' : side} ${limit} ${limit === 1 ? unit[0] : unit[1]}${found}`
}

const FORMATS: Readonly<Record<string, string>> = {
  url: 'a URL', uuid: 'a UUID', base64url: 'base64url text (A-Z a-z 0-9 - _)', base64: 'base64 text', email: 'an e-mail address',
  datetime: 'a moment such as 2026-01-31T09:30:00Z', ipv4: 'an IPv4 address', ipv6: 'an IPv6 address',
}

function formatText(issue: Extract<Issue, { code: 'invalid_format' }>): string {
  if (!issue.message.startsWith('Invalid')) return issue.message // The schema's own words.
  if (issue.format === 'url') return schemesOf(issue.pattern)
  if (issue.format === 'regex') return `text that matches ${issue.pattern ?? 'the pattern'}`
  return FORMATS[issue.format] ?? `a valid ${issue.format}`
}

/** '^mqtts?$' is how a schema names the schemes it takes. */
function schemesOf(pattern: string | undefined): string {
  const scheme = /^\/?\^([a-z]+)\?\$\/?$/.exec(pattern ?? '')?.[1]
  if (scheme !== undefined) return `a URL that begins with ${scheme.slice(0, -1)}:// or ${scheme}://`
  return FORMATS['url'] ?? 'a URL'
}

/*-- Values --*/

/** Whatever stands under such a name is not repeated; better one harmless value too many than one key. */
const SECRET_NAME = /secret|key(?!pad)|password|passphrase|token|credential|^d$/i

const isSecret = (keys: readonly PropertyKey[]): boolean => keys.some((key) => typeof key === 'string' && SECRET_NAME.test(key))

function shown(keys: readonly PropertyKey[], value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'an object'
  if (isSecret(keys)) return 'a value that is not shown'
  if (typeof value !== 'string') return String(value)
  // A URL may carry a password in front of its host.
  if (/:.*@/s.test(value)) return 'a URL with a password in it, not shown'
  const text = JSON.stringify(value.length > SHOWN_CHARS_MAX ? `${value.slice(0, SHOWN_CHARS_MAX)}...` : value)
  return visible(text)
}

/** Control, direction and zero-width characters, which would make a line on a screen say something else. */
const visible = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (char) => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`)

function valueAt(input: unknown, keys: readonly PropertyKey[]): unknown {
  let value = input
  for (const key of keys) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<PropertyKey, unknown>)[key] // The line above made sure that it is there.
  }
  return value
}

const pathText = (prefix: string, keys: readonly PropertyKey[]): string =>
  [...(prefix === '' ? [] : [prefix]), ...keys.map((key) => visible(String(key).slice(0, SHOWN_CHARS_MAX)))].join('.')

/** The keys that may stand at a place; in a choice between forms, the keys of all of them. */
function keysAt(tree: JsonSchema, at: readonly PropertyKey[]): readonly string[] {
  let places: readonly JsonSchema[] = forms(tree)
  for (const key of at) {
    places = places.flatMap((place) => {
      const next = typeof key === 'number' ? place.items : (place.properties?.[String(key)] ?? place.additionalProperties)
      return typeof next === 'object' && !Array.isArray(next) ? forms(next) : []
    })
  }
  return [...new Set(places.flatMap((place) => Object.keys(place.properties ?? {})))]
}

function forms(schema: JsonSchema | boolean): readonly JsonSchema[] {
  if (typeof schema === 'boolean') return []
  const choices = schema.oneOf ?? schema.anyOf
  return choices === undefined ? [schema] : choices.flatMap(forms)
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}

const compare = (a: string, b: string): number => a.localeCompare(b, 'en', { numeric: true })
