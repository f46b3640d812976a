/** A gateway's end of the wire without a wire: a test says what terminals say, and sees what was said to them. */
import type { TerminalLink } from '../../cloud/terminal-link.js'

export interface FakeTerminalLink extends TerminalLink {
  readonly published: readonly { readonly topic: string; readonly sealed: string }[]
  /** A terminal, or anybody else, says something. */
  say(topic: string, bytes: Uint8Array | string): void
  /** While true, nothing can be published. */
  down: boolean
}

export function fakeTerminalLink(note: (what: string) => void = () => undefined): FakeTerminalLink {
  const published: { topic: string; sealed: string }[] = []
  let receive: ((topic: string, bytes: Uint8Array) => void) | undefined
  const link: FakeTerminalLink = {
    published,
    down: false,
    start(to) {
      receive = to
      note('listen')
      return Promise.resolve()
    },
    publish(topic, sealed) {
      if (link.down) return Promise.reject(new Error('the broker is away'))
      note('publish')
      published.push({ topic, sealed })
      return Promise.resolve()
    },
    close() {
      receive = undefined
      return Promise.resolve()
    },
    say: (topic, bytes) => receive?.(topic, typeof bytes === 'string' ? Buffer.from(bytes) : bytes),
  }
  return link
}
