/** QEMU's own protocol (QMP), as far as the rig needs it: one command after the other, each with its answer. */
import { once } from 'node:events'
import { createConnection } from 'node:net'
import { z } from 'zod'
import { eachLine, parseLine } from './lines.js'

export interface Qmp {
  /** Rejects when QEMU refuses, or after 20 s. */
  run(command: string, options?: object): Promise<unknown>
  close(): void
}

/** Greetings and events have neither. */
const Answer = z.object({ return: z.unknown().optional(), error: z.object({ desc: z.string() }).optional() })
const ANSWER_MS = 20_000

export async function openQmp(path: string): Promise<Qmp> {
  const socket = createConnection(path)
  await once(socket, 'connect')
  const waiting: ((answer: z.infer<typeof Answer>) => void)[] = []
  eachLine(socket, (line) => {
    const answer = parseLine(Answer, line)
    if ('return' in answer || answer.error !== undefined) waiting.shift()?.(answer)
  })
  socket.on('error', () => undefined) // A machine that ends takes its socket along; whoever waits is told by the time.
  const run: Qmp['run'] = (command, options = {}) => new Promise((resolve, reject) => {
    const late = setTimeout(() => { reject(new Error(`QEMU did not answer ${command} in ${ANSWER_MS} ms`)) }, ANSWER_MS)
    waiting.push((answer) => {
      clearTimeout(late)
      if (answer.error === undefined) resolve(answer.return)
      else reject(new Error(`QEMU refused ${command}: ${answer.error.desc}`))
    })
    socket.write(`${JSON.stringify({ execute: command, arguments: options })}\n`)
  })
  await run('qmp_capabilities')
  return { run, close: () => { socket.destroy() } }
}
