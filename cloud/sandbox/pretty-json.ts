/**
 * JSON as Omise prints it: two spaces, an empty list with a blank line inside, a newline at the end. Pure.
 * Signatures are computed over exactly these bytes.
 */

export const prettyJson = (value: unknown): string => `${print(value, '')}\n`

function print(value: unknown, indent: string): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const inner = `${indent}  `
  if (Array.isArray(value)) {
    if (value.length === 0) return `[\n\n${indent}]`
    return `[\n${value.map((item) => inner + print(item, inner)).join(',\n')}\n${indent}]`
  }
  const entries = Object.entries(value)
  if (entries.length === 0) return `{\n${indent}}`
  return `{\n${entries.map(([key, item]) => `${inner}${JSON.stringify(key)}: ${print(item, inner)}`).join(',\n')}\n${indent}}`
}
