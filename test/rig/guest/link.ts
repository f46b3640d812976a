/** The machine's end of outside.ts. A child does the reading: a read of a virtio port never ends, and would hold this process. */
import { spawn } from 'node:child_process'
import { openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { eachLine, parseLine } from '../lines.js'
import { type FromGuest, type Outside, QUESTIONS, ToGuest } from '../outside.js'

type Begin = Extract<ToGuest, { say: 'begin' }>

export interface Link {
  readonly outside: Outside
  /** What the host wants to have run. */
  readonly begin: Promise<Begin>
  tell(message: FromGuest): void
}

export function openLink(): Link {
  const port = openSync(portNamed('rig'), 'r+') // It can be opened only once, so the child gets this very file.
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  let beginWith = (_message: Begin): void => undefined
  const begin = new Promise<Begin>((resolve) => { beginWith = resolve })
  const tell = (message: FromGuest): void => { writeAll(port, Buffer.from(`${JSON.stringify(message)}\n`)) }

  const reader = spawn('cat', [], { stdio: [port, 'pipe', 'inherit'] })
  if (reader.stdout === null) throw new Error('the port cannot be read')
  eachLine(reader.stdout, (line) => {
    const message = parseLine(ToGuest, line)
    switch (message.say) {
      case 'begin': return beginWith(message)
      case 'answer': return waiting.get(message.id)?.resolve(message.value)
      case 'refusal': return waiting.get(message.id)?.reject(new Error(message.why))
    }
  })

  let asked = 0
  const ask = (name: (typeof QUESTIONS)[number]) => (argument: unknown): Promise<unknown> => new Promise((resolve, reject) => {
    const id = asked++
    waiting.set(id, { resolve, reject })
    tell({ say: 'question', id, name, argument })
  })
  // Each question is asked in the same way; outside.ts says what goes in and comes out.
  const outside = Object.fromEntries(QUESTIONS.map((name) => [name, ask(name)])) as unknown as Outside
  return { outside, begin, tell }
}

function writeAll(file: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done)
}

function portNamed(name: string): string {
  const ports = '/sys/class/virtio-ports'
  const found = readdirSync(ports).find((port) => readFileSync(join(ports, port, 'name'), 'utf8').trim() === name)
  if (found === undefined) throw new Error(`this machine has no virtio port ${name}`)
  return join('/dev', found)
}
