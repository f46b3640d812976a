/** A stream of bytes as lines of text, and a line of JSON as what a schema says it is. */
import type { Readable } from 'node:stream'
import type { z } from 'zod'

/** Calls for each whole line; what is left at the end of the stream is no line. */
export function eachLine(stream: Readable, take: (line: string) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') take(line)
  })
}

export const parseLine = <T>(schema: z.ZodType<T>, line: string): T => schema.parse(JSON.parse(line))
