/** Debian's Mosquitto, set up as firmware-config/provisioning/mosquitto.acl.example says, on a port of its own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '../cloud/broker-client.js'

const EXAMPLE = join(import.meta.dirname, '../../firmware-config/provisioning/mosquitto.acl.example')

export interface Mosquitto {
  readonly port: number
  start(): Promise<void>
  /** SIGKILL: whatever it held in memory is gone. */
  kill(): Promise<void>
  remove(): Promise<void>
}

export async function prepareMosquitto(passwords: Readonly<Record<string, string>>): Promise<Mosquitto> {
  const folder = mkdtempSync(join(tmpdir(), 'plinth-mosquitto-'))
  const passwordFile = join(folder, 'plinth.passwd')
  writeFileSync(passwordFile, '', { mode: 0o600 })
  for (const [user, password] of Object.entries(passwords)) {
    const { status, stderr } = spawnSync('mosquitto_passwd', ['-b', passwordFile, user, password], { encoding: 'utf8' })
    if (status !== 0) throw new Error(`mosquitto_passwd (Debian package mosquitto) failed: ${stderr}`)
  }
  const port = await freePort()
  const aclFile = join(folder, 'plinth.acl')
  copyFileSync(EXAMPLE, aclFile)
  // The example's own lines, which look like "#      listener 1883 127.0.0.1".
  const settings = [...readFileSync(EXAMPLE, 'utf8').matchAll(/^# {6}([a-z_]+ [\w/.]+(?: [\w.]+)?)$/gm)].map(([, line = '']) => line
    .replace(/^listener .*/, `listener ${port} 127.0.0.1`)
    .replace(/^password_file .*/, `password_file ${passwordFile}`)
    .replace(/^acl_file .*/, `acl_file ${aclFile}`))
  // Started by root it would become the user mosquitto, who cannot look into this folder.
  writeFileSync(join(folder, 'mosquitto.conf'), [...settings, ...(process.getuid?.() === 0 ? ['user root'] : []), ''].join('\n'))

  let broker: ChildProcess | undefined
  const kill = async (): Promise<void> => {
    const dying = broker
    broker = undefined
    if (dying === undefined || dying.exitCode !== null) return
    await new Promise<void>((resolve) => {
      dying.once('exit', () => resolve())
      dying.kill('SIGKILL')
    })
  }
  return {
    port,
    async start() {
      let said = ''
      const started = spawn('/usr/sbin/mosquitto', ['-c', join(folder, 'mosquitto.conf')], { stdio: ['ignore', 'pipe', 'pipe'] })
      broker = started
      for (const stream of [started.stdout, started.stderr]) stream.on('data', (chunk: Buffer) => { said += chunk.toString() })
      started.on('error', (error) => { said += error.message })
      await until('mosquitto listens', async () => {
        if (started.exitCode !== null) throw new Error(`mosquitto ended: ${said}`)
        return canConnect(port)
      })
    },
    kill,
    async remove() {
      await kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no free port'))
        else resolve(address.port)
      })
    })
  })
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => { socket.destroy(); resolve(true) })
    socket.once('error', () => resolve(false))
  })
}
