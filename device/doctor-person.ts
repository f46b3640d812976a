/**
 * The person in front of the box, by lines of text: what is typed ahead counts (a pipe), and nobody is waited for without end.
 */
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { Clock } from './clock.js'

export interface Person {
  tell(text: string): void
  /** What was typed, trimmed; undefined when nobody answers in time, or nobody is there any more. */
  ask(question: string): Promise<string | undefined>
  /** Yes, no, or undefined. Anything else is asked once more. */
  sees(question: string): Promise<boolean | undefined>
  close(): void
}

export const ANSWER_MS = 120_000
const LINES_MAX = 1_000

export function createPerson(input: Readable, output: Writable, clock: Clock): Person {
  const typed: string[] = []
  let waiting: ((line: string | undefined) => void) | undefined
  let gone = false
  const lines = createInterface({ input })
  lines.on('line', (line) => {
    if (waiting !== undefined) waiting(line)
    else if (typed.length < LINES_MAX) typed.push(line)
  })
  lines.on('close', () => {
    gone = true
    waiting?.(undefined)
  })

  async function next(): Promise<string | undefined> {
    const ahead = typed.shift()
    if (ahead !== undefined || gone) return ahead
    return new Promise((resolve) => {
      const callOff = clock.alarm(clock.now() + ANSWER_MS, () => answer(undefined))
      const answer = (line: string | undefined): void => {
        waiting = undefined
        callOff()
        resolve(line)
      }
      waiting = answer
    })
  }

  async function ask(question: string): Promise<string | undefined> {
    output.write(`${question} `)
    const line = (await next())?.trim()
    output.write(line === undefined ? '(no answer)\n' : '\n')
    return line
  }

  async function sees(question: string): Promise<boolean | undefined> {
    for (let asked = 0; asked < 2; asked++) {
      const answer = await ask(`${question} y/n`)
      if (answer === undefined || /^y(es)?$/i.test(answer)) return answer === undefined ? undefined : true
      if (/^no?$/i.test(answer)) return false
    }
    return undefined
  }

  return { tell: (text) => { output.write(`${text}\n`) }, ask, sees, close: () => lines.close() }
}
