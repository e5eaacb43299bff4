import { newTraceId } from '../ids';

export interface GraphErrorDetails {
  status?: number;
  code: number;
  subcode?: number;
  type?: string;
  message: string;
  isTransient?: boolean;
  userTitle?: string;
  userMessage?: string;
  data?: unknown;
  headers?: Record<string, string>;
}

/** An answer of the Graph API in the form of meta-platform §2.1. */
export class GraphError extends Error {
  constructor(readonly details: GraphErrorDetails) {
    super(details.message);
  }
}

export function envelope(details: GraphErrorDetails): { error: Record<string, unknown> } {
  return {
    error: {
      message: details.message,
      type: details.type ?? 'OAuthException',
      ...(details.isTransient === undefined ? {} : { is_transient: details.isTransient }),
      code: details.code,
      ...(details.subcode === undefined ? {} : { error_subcode: details.subcode }),
      ...(details.userTitle === undefined ? {} : { error_user_title: details.userTitle }),
      ...(details.userMessage === undefined ? {} : { error_user_msg: details.userMessage }),
      ...(details.data === undefined ? {} : { error_data: details.data }),
      fbtrace_id: newTraceId(),
    },
  };
}

export function invalidParameter(message: string): GraphError {
  return new GraphError({ code: 100, message: `(#100) ${message}` });
}

/** Meta does not tell a missing object from one the token may not see. */
export function missingObject(id: string): GraphError {
  return new GraphError({
    code: 100,
    subcode: 33,
    type: 'GraphMethodException',
    message:
      `Unsupported request. Object with ID '${id}' does not exist, ` +
      'cannot be loaded due to missing permissions, or does not support this operation.',
  });
}

export function unknownPath(path: string): GraphError {
  return new GraphError({ code: 2500, message: `Unknown path components: ${path}` });
}

export function permissionMissing(permission: string): GraphError {
  return permission.startsWith('instagram_')
    ? new GraphError({
        code: 10,
        message: `(#10) Application does not have permission for this action: ${permission} is needed`,
      })
    : new GraphError({
        code: 200,
        status: 403,
        message: `(#200) Requires ${permission} permission to manage the object`,
      });
}

export function invalidToken(subcode: number | null, message: string): GraphError {
  return new GraphError({ code: 190, message, ...(subcode === null ? {} : { subcode }) });
}
