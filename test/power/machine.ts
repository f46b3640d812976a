/**
 * What the machine can do for these tests: be root, mount a file system of its own, put a fault into a system call, run
 * a broker. What it cannot is said in one sentence and counted as not run; nothing passes because a tool was missing.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Need = 'mounts' | 'strace' | 'mosquitto' | 'socat'

/** One sentence on the first thing that is missing, or undefined. */
export function lacking(needs: readonly Need[]): string | undefined {
  for (const need of needs) {
    const sentence = lacks(need)
    if (sentence !== undefined) return sentence
  }
  return undefined
}

function lacks(need: Need): string | undefined {
  switch (need) {
    case 'mounts': {
      if (process.getuid?.() !== 0) return 'only root may mount a file system'
      const missing = ['mkfs.ext4', 'mount', 'umount', 'unshare', 'setpriv', 'perl'].find((tool) => !isThere(tool))
      if (missing !== undefined) return `${missing} is missing (Debian packages e2fsprogs, mount, util-linux, perl-base)`
      return mountsALoop() ? undefined : 'this machine gives no loop device to mount'
    }
    case 'strace':
      if (!isThere('strace')) return 'strace is missing (Debian package strace)'
      return tampers() ? undefined : 'strace may not put faults into system calls here'
    case 'mosquitto':
      return isThere('mosquitto_passwd') && isThere('mosquitto') ? undefined : 'mosquitto is missing (Debian package mosquitto)'
    case 'socat':
      return isThere('socat') ? undefined : 'socat is missing (Debian package socat)'
  }
}

const SEARCHED = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` }

const isThere = (tool: string): boolean =>
  spawnSync('sh', ['-c', `command -v ${tool}`], { env: SEARCHED, stdio: 'ignore' }).status === 0

/** The only honest answer to whether strace may trace and tamper is a trial. */
function tampers(): boolean {
  const tracer = ['-f', '--seccomp-bpf', '-o', '/dev/null', '-e', 'trace=chdir', '-e', 'inject=chdir:error=EIO']
  const { status } = spawnSync('strace', [...tracer, 'env', '-C', '/', 'true'], { stdio: 'ignore' })
  return status === 125 // What env says when it could not change its folder.
}

function mountsALoop(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'plinth-loop-'))
  const script = 'truncate -s 1M image && mkfs.ext4 -q image && mkdir at && mount -o loop image at && umount at'
  const { status } = spawnSync('unshare', [...OWN_MOUNTS, 'sh', '-c', script], { cwd: folder, stdio: 'ignore', env: SEARCHED })
  rmSync(folder, { recursive: true, force: true })
  return status === 0
}

const OWN_MOUNTS = ['--mount', '--propagation', 'private'] as const
const INSIDE = 'PLINTH_OWN_MOUNTS'

/**
 * Runs the rest of the program where its mounts are its own: however it ends, by an error, a signal or SIGKILL, the
 * kernel takes them and their loop devices down with it. Resolves only inside; outside it ends with the program's code.
 */
export async function withOwnMounts(): Promise<void> {
  if (process.env[INSIDE] !== undefined) return
  const inside = spawn('setpriv', [...DIES_WITH_ITS_PARENT, 'unshare', ...OWN_MOUNTS,
    process.execPath, ...process.argv.slice(1)], { stdio: 'inherit', env: { ...SEARCHED, [INSIDE]: '1' } })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => inside.kill(signal))
  const code = await new Promise<number>((resolve) => inside.once('exit', (status) => resolve(status ?? 1)))
  process.exit(code)
}

/** Arguments of setpriv before a command that must not outlive us, whatever we die of. */
export const DIES_WITH_ITS_PARENT = ['--pdeathsig', 'KILL'] as const
