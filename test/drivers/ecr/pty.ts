/**
 * A register on a real pty, played by the test: the terminal opens `path` as it would open a tty, and what is written
 * here comes out there. Needs `socat`.
 *
 *   test ──pipes── socat ──pty master/slave── path ──serialport── driver
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, constants, existsSync, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export interface PtyRegister {
  readonly path: string
  send(text: string | Uint8Array): Promise<void>
  /** Everything the terminal has said to this register so far. */
  heard(): string
  /** The register takes nothing from the line until it goes on. */
  freeze(): void
  goOn(): void
  /** The cable is pulled. */
  unplug(): Promise<void>
}

const OPEN_MS_MAX = 5_000

export async function plugRegister(path: string): Promise<PtyRegister> {
  const socat = spawn('socat', [`pty,raw,echo=0,link=${path}`, 'stdio'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(socat, 'exit').catch((error: unknown) => { throw new Error('socat cannot be started; is it installed?', { cause: error }) })
  socat.stdin.on('error', () => undefined) // A test may still be sending when the cable is pulled.
  let heard = ''
  socat.stdout.on('data', (bytes: Buffer) => { heard += bytes.toString('latin1') })

  for (let waitedMs = 0; !existsSync(path); waitedMs += 5) {
    if (waitedMs > OPEN_MS_MAX || socat.exitCode !== null) throw new Error(`socat made no pty at ${path}`)
    await Promise.race([sleep(5), exited])
  }
  // A cable stays plugged in when the terminal closes its end; without this the pty would hang up.
  const plug = openSync(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK)
  let plugged = true

  return {
    path,
    send: (text) => new Promise((resolve, reject) => socat.stdin.write(text, (error) => { if (error == null) resolve(); else reject(error) })),
    heard: () => heard,
    freeze: () => { socat.kill('SIGSTOP') },
    goOn: () => { socat.kill('SIGCONT') },
    async unplug() {
      if (!plugged) return
      plugged = false
      closeSync(plug)
      socat.kill('SIGCONT')
      socat.kill('SIGTERM') // socat takes its link away with it.
      await exited
    },
  }
}
